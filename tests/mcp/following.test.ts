import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createRelay } from '../../src/mcp/relay.ts';
import { type EraUpstream, startEraUpstream } from './era-upstream.ts';
import { connection, fetchPort, type Gateway, openGateway, PRINCIPAL, silentLog } from './gateway.ts';
import { connectPipe, pipeFace } from './pipe.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const NOTE = 'mcp+up+file:///note';
const PATIENCE = { timeout: 20_000 };

async function startUpstream(): Promise<EraUpstream> {
  const upstream = await startEraUpstream('legacy');
  cleanup.push(upstream.close);
  return upstream;
}

async function gatewayOf(upstream: EraUpstream): Promise<Gateway> {
  const gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
  await vi.waitFor(() => expect(gateway.names()).toContain('up__ask'), PATIENCE);
  return gateway;
}

let changes = 0;

/** Resolves once the client is told of a change that happens after this: of a part of the note that nobody named before. */
async function hears(client: Client, upstream: EraUpstream): Promise<void> {
  changes += 1;
  const part = `/${changes}`;
  const heard = vi.fn();
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => heard(params.uri));
  await vi.waitFor(() => {
    upstream.touch(`file:///note${part}`);
    expect(heard).toHaveBeenCalledWith(NOTE + part);
  }, PATIENCE);
}

describe('a resource that is followed', () => {
  it('is followed again after its connection was edited, also when the upstream refuses that at first', async () => {
    const upstream = await startUpstream();
    const gateway = await gatewayOf(upstream);
    cleanup.push(gateway.close);
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
    cleanup.push(() => client.close());
    await client.subscribeResource({ uri: NOTE });
    await hears(client, upstream);
    gateway.add(connection('up', { endpoint: upstream.url, call_timeout: '50s' }));
    await hears(client, upstream);
    upstream.refused.add('resources/subscribe');
    const asked = () => upstream.calls.filter(({ method }) => method === 'resources/subscribe').length;
    const before = asked();
    gateway.add(connection('up', { endpoint: upstream.url, call_timeout: '40s' }));
    await vi.waitFor(() => expect(asked()).toBeGreaterThan(before), PATIENCE);
    upstream.refused.clear();
    await hears(client, upstream);
  }, 90_000);

  it('is followed by a modern client over its pipe', async () => {
    const upstream = await startUpstream();
    const gateway = await gatewayOf(upstream);
    cleanup.push(gateway.close);
    const face = pipeFace(gateway);
    const { client, close } = await connectPipe((stdin, stdout) => face.serve(stdin, stdout), 'auto');
    cleanup.push(close);
    expect(client.getProtocolEra()).toBe('modern');
    const heard = vi.fn();
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => heard(params.uri));
    const stream = await client.listen({ resourceSubscriptions: [NOTE] });
    await vi.waitFor(() => {
      upstream.touch('file:///note');
      expect(heard).toHaveBeenCalledWith(NOTE);
    }, PATIENCE);
    await stream.close();
    await vi.waitFor(() => expect(upstream.followed()).toEqual([]), PATIENCE);
  }, 60_000);

  it('is followed again by a relayed client at the next owner, and its log level set', async () => {
    const upstream = await startUpstream();
    let owner = await gatewayOf(upstream);
    const endpoint = async () => ({ url: owner.url, headers: {} });
    const relay = createRelay({ endpoint, fetch: fetchPort, clock: systemClock, log: silentLog });
    const { client, close } = await connectPipe((stdin, stdout) => relay.serve(stdin, stdout), 'legacy');
    cleanup.push(close);
    await client.subscribeResource({ uri: NOTE });
    await client.setLoggingLevel('error');
    await hears(client, upstream);
    const gone = owner;
    owner = await gatewayOf(upstream);
    cleanup.push(() => owner.close());
    await gone.close();
    const logged = vi.fn();
    client.setNotificationHandler('notifications/message', logged);
    await hears(client, upstream);
    await client.callTool({ name: 'up__log' });
    expect(logged).not.toHaveBeenCalled();
  }, 60_000);
});

describe('sessions', () => {
  it('of one principal give way to its own newer ones, and to nobody else (settings.most_per_principal)', async () => {
    const gateway = await openGateway({ face: { sessions: { most_per_principal: 2 } } });
    cleanup.push(gateway.close);
    const post = (actor: string, body: unknown, session?: string) =>
      gateway.face.handle(
        new Request(gateway.url, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            ...(session === undefined ? {} : { 'mcp-session-id': session }),
          },
          body: JSON.stringify(body),
        }),
        { ...PRINCIPAL, actor },
      );
    const open = async (actor: string) => {
      const clientInfo = { name: 't', version: '1' };
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
      const response = await post(actor, { jsonrpc: '2.0', id: 1, method: 'initialize', params });
      await response.text();
      return response.headers.get('mcp-session-id') ?? '';
    };
    const status = async (actor: string, session: string) => {
      const response = await post(actor, { jsonrpc: '2.0', id: 2, method: 'ping' }, session);
      await response.text();
      return response.status;
    };
    const other = await open('apikey:b');
    const [first, second, third] = [await open('apikey:a'), await open('apikey:a'), await open('apikey:a')];
    expect(await status('apikey:a', first)).toBe(404);
    expect(await status('apikey:a', second)).toBe(200);
    expect(await status('apikey:a', third)).toBe(200);
    expect(await status('apikey:b', other)).toBe(200);
    expect(await status('apikey:a', other)).toBe(404);
  });
});
