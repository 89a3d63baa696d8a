import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Toolkit } from '../../src/core/ports.ts';
import { RpcError } from '../../src/core/rpc-error.ts';
import { DEFAULT_LISTEN } from '../../src/mcp/listen-streams.ts';
import { connection, type Gateway, openGateway, PRINCIPAL } from './gateway.ts';
import { connectPipe, pipeFace } from './pipe.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

type Params = Record<string, unknown>;
type Asked = { uri: string; signal: AbortSignal; updated(params: Params): void; agree(): void };

/** An upstream whose consent to each subscription is the test's; `refused` are refused at once. */
async function gatewayOf(options: { refused?: string[] } = {}): Promise<{ gateway: Gateway; asked: Asked[] }> {
  const asked: Asked[] = [];
  const toolkit: Toolkit = {
    kind: 'mcp',
    configSchema: undefined as never,
    connect: () => ({
      request: async (method) =>
        method === 'server/discover'
          ? { capabilities: { tools: {}, resources: { subscribe: true } } }
          : { tools: [{ name: 't', inputSchema: { type: 'object' } }], resources: [], resourceTemplates: [] },
      subscribe: (uri, updated, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          if (options.refused?.includes(uri)) reject(new RpcError(-32602, 'no'));
          asked.push({ uri, updated, signal, agree: resolve });
        }),
      onChange: () => undefined,
      test: async () => ({ ok: true, message: '', details: {} }),
      close: async () => undefined,
    }),
  };
  const gateway = await openGateway({
    toolkits: [toolkit],
    connections: [connection('up', { endpoint: 'http://x/' })],
  });
  cleanup.push(gateway.close);
  await vi.waitFor(() => expect(gateway.names()).toEqual(['up__t']));
  return { gateway, asked };
}

const URI = 'mcp+up+file:///note';
const _meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const message = (id: unknown, notifications: Params) => ({
  jsonrpc: '2.0',
  id,
  method: 'subscriptions/listen',
  params: { notifications, _meta },
});

function listen(gateway: Gateway, signal: AbortSignal, notifications: Params = { resourceSubscriptions: [URI] }) {
  const request = new Request(gateway.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'subscriptions/listen',
    },
    body: JSON.stringify(message(1, notifications)),
    signal,
  });
  return gateway.face.handle(request, PRINCIPAL);
}

/** How many more streams the principal may have: those beyond it are refused. */
async function free(gateway: Gateway): Promise<number> {
  const end = new AbortController();
  const open = await Promise.all(
    Array.from({ length: DEFAULT_LISTEN.most_per_principal }, () =>
      listen(gateway, end.signal, { toolsListChanged: true }),
    ),
  );
  const opened = open.filter(({ headers }) => headers.get('content-type') === 'text/event-stream').length;
  end.abort();
  await Promise.allSettled(open.map(async ({ body }) => body?.cancel()));
  return opened;
}

describe('a stream of notifications over HTTP', () => {
  it('is given up, and its place free, when its client leaves while an upstream is asked', async () => {
    const { gateway, asked } = await gatewayOf();
    const client = new AbortController();
    const opening = listen(gateway, client.signal);
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    expect(await free(gateway)).toBe(DEFAULT_LISTEN.most_per_principal - 1);
    client.abort();
    await vi.waitFor(() => expect(asked[0]?.signal.aborted).toBe(true));
    expect((await opening).status).toBe(499);
    expect(await free(gateway)).toBe(DEFAULT_LISTEN.most_per_principal);
  });

  it('asks no upstream when its client left before', async () => {
    const { gateway, asked } = await gatewayOf();
    expect((await listen(gateway, AbortSignal.abort())).status).toBe(499);
    expect(asked).toEqual([]);
    expect(await free(gateway)).toBe(DEFAULT_LISTEN.most_per_principal);
  });

  it('is given up when its client leaves in the moment at which the upstream agrees', async () => {
    const { gateway, asked } = await gatewayOf();
    const client = new AbortController();
    const opening = listen(gateway, client.signal);
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    asked[0]?.agree();
    client.abort();
    const { body } = await opening;
    await body?.cancel().catch(() => undefined);
    await vi.waitFor(() => expect(asked[0]?.signal.aborted).toBe(true));
    expect(await free(gateway)).toBe(DEFAULT_LISTEN.most_per_principal);
  });

  it('is refused when the server stops while it is being opened', async () => {
    const { gateway, asked } = await gatewayOf();
    const opening = listen(gateway, new AbortController().signal);
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    await gateway.face.close();
    expect((await opening).status).toBe(503);
    expect(asked[0]?.signal.aborted).toBe(true);
  });

  it('tells what changed between the consent and its opening once for each resource, however often that was', async () => {
    const { gateway, asked } = await gatewayOf();
    const other = 'mcp+up+file:///other';
    const opening = listen(gateway, new AbortController().signal, { resourceSubscriptions: [URI, other] });
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    asked[0]?.agree();
    for (let count = 0; count < 1_000; count += 1) asked[0]?.updated({ uri: 'file:///note', _meta: { count } });
    asked[1]?.updated({ uri: 'file:///other' });
    asked[1]?.agree();
    const reader = (await opening).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    let text = '';
    while (!text.includes('///other", ') && text.split('resources/updated').length < 3) {
      text += Buffer.from((await reader.read()).value ?? []).toString();
    }
    expect(text.match(/resources\/updated/g)).toHaveLength(2);
    expect(text).toContain('"count":999');
    await reader.cancel();
  });
});

describe('a stream of notifications over a pipe', () => {
  async function pipeOf(gateway: Gateway) {
    const face = pipeFace(gateway);
    return connectPipe((stdin, stdout) => face.serve(stdin, stdout), 'auto');
  }

  it('is acknowledged with the resources that are followed, without those that are refused or unknown', async () => {
    const { gateway, asked } = await gatewayOf({ refused: ['file:///no'] });
    const { client, close } = await pipeOf(gateway);
    cleanup.push(close);
    const opening = client.listen({
      toolsListChanged: true,
      resourceSubscriptions: [URI, 'mcp+up+file:///no', 'mcp+nobody+file:///x', 'nonsense'],
    });
    await vi.waitFor(() => expect(asked.map(({ uri }) => uri)).toEqual(['file:///note', 'file:///no']));
    asked[0]?.agree();
    const stream = await opening;
    expect(stream.honoredFilter).toEqual({ toolsListChanged: true, resourceSubscriptions: [URI] });
    const heard = vi.fn();
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => heard(params.uri));
    asked[0]?.updated({ uri: 'file:///note' });
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(URI));
    await stream.close();
    await vi.waitFor(() => expect(asked[0]?.signal.aborted).toBe(true));
  });

  it('does not hold up other requests while an upstream is asked, and is given up with its cancellation', async () => {
    const { gateway, asked } = await gatewayOf();
    const { client, close } = await pipeOf(gateway);
    cleanup.push(close);
    const caller = new AbortController();
    const opening = client.listen({ resourceSubscriptions: [URI] }, { signal: caller.signal }).catch(() => 'given up');
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    expect((await client.listTools()).tools).toHaveLength(1);
    caller.abort();
    expect(await opening).toBe('given up');
    await vi.waitFor(() => expect(asked[0]?.signal.aborted).toBe(true));
    expect((await client.listTools()).tools).toHaveLength(1);
  });
});
