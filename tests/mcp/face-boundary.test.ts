import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { connectV1, connectV2 } from './clients.ts';
import { ACTOR_HEADER, connection, type GatewayOptions, openGateway } from './gateway.ts';
import { type RawReply, startRaw } from './upstreams.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function gatewayOf(options: GatewayOptions = {}) {
  const gateway = await openGateway(options);
  cleanup.push(gateway.close);
  return gateway;
}

async function gatewayBefore(answer: (method: string) => RawReply, tools: number, options: GatewayOptions = {}) {
  const upstream = await startRaw(({ method }) => answer(method));
  cleanup.push(upstream.close);
  const gateway = await gatewayOf({ connections: [connection('up', { endpoint: upstream.url })], ...options });
  await vi.waitFor(() => expect(gateway.names()).toHaveLength(tools), { timeout: 10_000 });
  return { gateway, upstream };
}

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
};

function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

async function openSession(url: string, actor: string): Promise<string> {
  const response = await post(url, INITIALIZE, { [ACTOR_HEADER]: actor });
  await response.text();
  return response.headers.get('mcp-session-id') ?? '';
}

describe('what crosses the endpoint', () => {
  const ODD = {
    name: 'odd',
    inputSchema: { type: 'object', properties: { any: true, never: false }, $defs: { a: { $anchor: 'x' } } },
    outputSchema: { type: 'array', items: { type: 'number' } },
    annotations: { readOnlyHint: true, vendorHint: 'z' },
    vendorField: { a: [1] },
    _meta: { 'com.example/x': 1 },
  };
  const RESULT = { content: [{ type: 'text', text: '[1,2]' }], structuredContent: [1, 2], vendorTop: 1 };
  const answer = (method: string): RawReply =>
    method === 'tools/list'
      ? { result: { tools: [ODD, { name: 'evil', inputSchema: { type: 'object', $ref: 'https://evil.example/s' } }] } }
      : { result: RESULT };

  it('is a tool as its upstream wrote it, but for the name and one key of _meta', async () => {
    const { gateway } = await gatewayBefore(answer, 2);
    const reply = await post(
      gateway.url,
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/list',
        params: {
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      },
      { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' },
    );
    const { result } = (await reply.json()) as { result: { tools: unknown[] } };
    const about = { kind: 'mcp', name: 'up', state: 'ok' };
    expect(result.tools[0]).toEqual({
      ...ODD,
      name: 'up__odd',
      _meta: { ...ODD._meta, 'mcp-data-platform/connection': about },
    });
  });

  it('is a list that every client can read, though one tool is beyond the legacy era (lesson 34)', async () => {
    const { gateway } = await gatewayBefore(answer, 2);
    for (const connect of [connectV1, connectV2]) {
      const client = await connect(gateway.url);
      expect((await client.tools()).map((tool) => tool.name)).toEqual(['up__odd', 'up__evil']);
      const result = await client.call('up__odd');
      expect(result.structuredContent).toEqual(connect === connectV1 ? { result: [1, 2] } : [1, 2]);
      await client.close();
    }
  });

  it('is every tool, page by page under cursors of our own', async () => {
    const tools = Array.from({ length: 600 }, (_, index) => ({ name: `t${index}`, inputSchema: { type: 'object' } }));
    const { gateway } = await gatewayBefore(() => ({ result: { tools } }), 600);
    for (const connect of [connectV1, connectV2]) {
      const client = await connect(gateway.url);
      expect((await client.tools()).map((tool) => tool.name)).toEqual(gateway.names());
      await client.close();
    }
  });

  it("is the upstream's JSON-RPC error, unless its code would mislead about our own protocol", async () => {
    let code = 4711;
    const { gateway } = await gatewayBefore(
      (method) => (method === 'tools/list' ? answer(method) : { error: { code, message: 'theirs', data: { a: 1 } } }),
      2,
    );
    const client = await connectV2(gateway.url);
    cleanup.push(client.close);
    await expect(client.call('up__evil')).rejects.toMatchObject({ code: 4711, data: { a: 1 } });
    code = -32021;
    await expect(client.call('up__evil')).rejects.toMatchObject({ code: -32603, data: { upstream: { code: -32021 } } });
  });

  it('is a failure that names connection, state, action and address when a connection needs a person', async () => {
    let healthy = true;
    const upstream = await startRaw(() => ({
      result: { tools: [{ name: 't', inputSchema: { type: 'object' } }], content: [] },
    }));
    cleanup.push(upstream.close);
    const gateway = await gatewayOf({
      connections: [connection('crm', { endpoint: upstream.url, auth_mode: 'oauth' })],
      accessToken: async () => {
        if (!healthy) throw new AppError('needs_person', 'mcp/crm must be connected again: its grant was revoked.');
        return new (await import('../../src/core/redact.ts')).Secret('x');
      },
    });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['crm__t']));
    healthy = false;
    const client = await connectV1(gateway.url);
    cleanup.push(client.close);
    const result = await client.call('crm__t');
    expect(result).toMatchObject({
      isError: true,
      structuredContent: {
        error: {
          code: 'needs_person',
          connection: { kind: 'mcp', name: 'crm' },
          action: 'connect',
          url: 'https://platform.example/connections/mcp/crm',
        },
      },
    });
    expect(result.content?.[0]?.text).toContain('https://platform.example/connections/mcp/crm');
    await vi.waitFor(async () => {
      const [tool] = await client.tools();
      expect(tool?._meta).toMatchObject({ 'mcp-data-platform/connection': { state: 'needs_person' } });
    });
  });

  it('is a cancelled call, all the way to the upstream', async () => {
    let arrived = () => {};
    const hanging = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const { gateway, upstream } = await gatewayBefore((method) => {
      if (method === 'tools/list') return answer(method);
      arrived();
      return { hang: true };
    }, 2);
    const client = await connectV2(gateway.url);
    cleanup.push(client.close);
    const caller = new AbortController();
    const call = client.call('up__evil', {}, { signal: caller.signal });
    await hanging;
    caller.abort();
    await expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(upstream.broken()).toBe(1));
  });

  it.each([
    ['a modern client', () => connectV2],
    ['a legacy client', () => connectV1],
  ])('is a notice to %s that the list changed', async (_name, connect) => {
    const { gateway } = await gatewayBefore(answer, 2);
    const client = await connect()(gateway.url);
    cleanup.push(client.close);
    const told = vi.fn();
    await client.onListChanged(told);
    const other = await startRaw(() => ({ result: { tools: [{ name: 'n', inputSchema: { type: 'object' } }] } }));
    cleanup.push(other.close);
    // A legacy client's stream opens in the background: tell until it hears.
    let count = 0;
    await vi.waitFor(
      async () => {
        count += 1;
        gateway.add(connection(`other-${count}`, { endpoint: other.url }));
        await vi.waitFor(() => expect(told).toHaveBeenCalled(), { timeout: 500 });
      },
      { timeout: 20_000 },
    );
  });
});

describe('a session of the legacy era', () => {
  it('is 404 for another principal, and stays for its own', async () => {
    const gateway = await gatewayOf();
    const id = await openSession(gateway.url, 'apikey:a');
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    const foreign = await post(gateway.url, list, { [ACTOR_HEADER]: 'apikey:b', 'mcp-session-id': id });
    expect(foreign.status).toBe(404);
    const ended = await fetch(gateway.url, {
      method: 'DELETE',
      headers: { [ACTOR_HEADER]: 'apikey:b', 'mcp-session-id': id },
    });
    expect(ended.status).toBe(404);
    const own = await post(gateway.url, list, { [ACTOR_HEADER]: 'apikey:a', 'mcp-session-id': id });
    expect(own.status).toBe(200);
    await own.text();
  });

  it('is 404 once ended, and 400 when it was never begun', async () => {
    const gateway = await gatewayOf();
    const headers = { [ACTOR_HEADER]: 'apikey:a' };
    const id = await openSession(gateway.url, 'apikey:a');
    const ping = { jsonrpc: '2.0', id: 2, method: 'ping' };
    await fetch(gateway.url, { method: 'DELETE', headers: { ...headers, 'mcp-session-id': id } });
    expect((await post(gateway.url, ping, { ...headers, 'mcp-session-id': id })).status).toBe(404);
    expect((await post(gateway.url, ping, headers)).status).toBe(400);
  });

  it('gives way when there are too many: the longest idle one goes', async () => {
    const gateway = await gatewayOf({ face: { sessions: { most: 2 } } });
    const ids = [];
    for (let count = 0; count < 3; count += 1) ids.push(await openSession(gateway.url, 'apikey:a'));
    const ping = { jsonrpc: '2.0', id: 2, method: 'ping' };
    const statuses = [];
    for (const id of ids) {
      const response = await post(gateway.url, ping, { [ACTOR_HEADER]: 'apikey:a', 'mcp-session-id': id });
      statuses.push(response.status);
      await response.text();
    }
    expect(statuses).toEqual([404, 200, 200]);
  });

  it('is ended after its idle time, by the clock', async () => {
    let now = 0;
    let tick = () => {};
    const clock = {
      ...systemClock,
      monotonic: () => now,
      sleep: (_ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          tick = resolve;
          signal?.addEventListener('abort', () => resolve());
        }),
    };
    const gateway = await gatewayOf({ face: { clock, sessions: { idle: 60_000 } } });
    const id = await openSession(gateway.url, 'apikey:a');
    const status = async () => {
      const headers = { [ACTOR_HEADER]: 'apikey:a', 'mcp-session-id': id };
      const response = await post(gateway.url, { jsonrpc: '2.0', id: 2, method: 'ping' }, headers);
      await response.text();
      return response.status;
    };
    now = 59_000;
    tick();
    expect(await status()).toBe(200);
    now = 200_000;
    tick();
    await vi.waitFor(async () => expect(await status()).toBe(404));
  });
});

describe('a request that is none', () => {
  it.each([
    ['too large', 413, 'x'.repeat(2_000), { 'content-type': 'application/json' }],
    ['not JSON', 400, '{', { 'content-type': 'application/json' }],
    ['of another media type', 415, '{}', { 'content-type': 'text/plain' }],
  ])('is refused when it is %s', async (_what, status, body, headers) => {
    const gateway = await gatewayOf({ face: { maxBodyBytes: 1_000 } });
    const response = await post(gateway.url, body, headers);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ jsonrpc: '2.0', error: { message: expect.any(String) }, id: null });
  });

  it('ends its connection when it is too large, because the rest of it is not read', async () => {
    const gateway = await gatewayOf({ face: { maxBodyBytes: 1_000 } });
    const response = await post(gateway.url, 'x'.repeat(2_000), { 'content-type': 'application/json' });
    expect(response.headers.get('connection')).toBe('close');
    await response.body?.cancel();
  });

  it('with an invalid cursor gets -32602', async () => {
    const gateway = await gatewayOf();
    const id = await openSession(gateway.url, 'apikey:a');
    const headers = { [ACTOR_HEADER]: 'apikey:a', 'mcp-session-id': id };
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list', params: { cursor: 'nonsense' } };
    expect(await (await post(gateway.url, list, headers)).text()).toContain('-32602');
  });
});
