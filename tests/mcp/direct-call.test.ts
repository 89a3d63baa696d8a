import { Server } from '@modelcontextprotocol/server';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type EraUpstream, startEraUpstream } from './era-upstream.ts';
import { connection, type Gateway, openGateway } from './gateway.ts';
import { type RawReply, type RawUpstream, startRaw } from './upstreams.ts';

type Params = Record<string, unknown>;
type Told = { status: number; messages: Params[] };

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const JSON_AND_STREAM = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** What the upstream answers to the tool of that name. */
const REPLIES: Record<string, RawReply> = {
  plain: { result: { content: [{ type: 'text', text: 'ü' }], vendor: { a: [1, null] } } },
  meta: { result: { content: [], _meta: { 'com.example/x': 1, 'io.modelcontextprotocol/serverInfo': { name: 'u' } } } },
  failed: { result: { content: [{ type: 'text', text: 'no' }], isError: true } },
  list: { result: { content: [], structuredContent: [1, 2] } },
  nothing: { result: { structuredContent: null } },
  told_list: { result: { content: [{ type: 'text', text: '[1]' }], structuredContent: [1] } },
  bad_params: { error: { code: -32602, message: 'bad', data: { field: 'x' } } },
  not_found: { error: { code: -32002, message: 'no such thing' } },
  no_method: { error: { code: -32601, message: 'Method not found' } },
  own_code: { error: { code: 7, message: 'seven', data: null } },
  lacking: { error: { code: -32021, message: 'lacking', data: { requiredCapabilities: { sampling: {} } } } },
  http_error: { status: 500, body: 'secret' },
};
const NAMES = Object.keys(REPLIES);

let gateway: Gateway;
let upstream: RawUpstream;
let eras: EraUpstream[];

beforeAll(async () => {
  upstream = await startRaw(({ method, params }) => {
    if (method !== 'tools/list') return REPLIES[String(params.name)] ?? { error: { code: -32602, message: 'unknown' } };
    return { result: { tools: NAMES.map((name) => ({ name, inputSchema: { type: 'object' } })) } };
  });
  eras = [await startEraUpstream('legacy'), await startEraUpstream('modern')];
  gateway = await openGateway({
    connections: [
      connection('up', { endpoint: upstream.url }),
      connection('old', { endpoint: eras[0]?.url }),
      connection('new', { endpoint: eras[1]?.url }),
    ],
  });
  await vi.waitFor(() => {
    for (const name of ['up__plain', 'old__log', 'new__log']) expect(gateway.names()).toContain(name);
  }, 20_000);
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([upstream, ...eras].map((one) => one.close()));
});
afterEach(() => vi.restoreAllMocks());

async function read(response: Response): Promise<Told> {
  const text = await response.text();
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data as string);
  const stream = response.headers.get('content-type') === 'text/event-stream';
  return { status: response.status, messages: (stream ? events : [text]).map((one) => JSON.parse(one) as Params) };
}

function modern(params: Params, headers: Params = {}, more: Params = {}): Promise<Response> {
  const { name = '', _meta } = params as { name?: string; _meta?: Params };
  return fetch(gateway.url, {
    method: 'POST',
    headers: {
      ...JSON_AND_STREAM,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': name,
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 'a',
      method: 'tools/call',
      params: { ...params, _meta: { ...ENVELOPE, ..._meta } },
      ...more,
    }),
  });
}

/** The same header in its other form is as right, and of no interest to the short way. */
const encoded = (name: string) => ({ 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` });

async function session(capabilities: Params = {}): Promise<(body: unknown) => Promise<Response>> {
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(gateway.url, { method: 'POST', headers: { ...JSON_AND_STREAM, ...headers }, body: JSON.stringify(body) });
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'raw', version: '1' } };
  const opened = await post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
  await opened.text();
  const headers = {
    'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
    'mcp-protocol-version': '2025-11-25',
  };
  return (body) => post(body, headers);
}

const call = (params: Params, id: string | number = 'a') => ({ jsonrpc: '2.0', id, method: 'tools/call', params });

/** Whether the SDK made a server for it. */
async function servedBySdk(run: () => Promise<Response>): Promise<[Told, boolean]> {
  const connect = vi.spyOn(Server.prototype, 'connect');
  const told = await read(await run());
  const used = connect.mock.calls.length > 0;
  connect.mockRestore();
  return [told, used];
}

describe('a call of the modern era', () => {
  it.each([...NAMES.map((name) => `up__${name}`), 'new__log', 'new__link', 'old__log', 'new__ask', 'nowhere'])(
    'is answered alike with a server of the SDK and without one: %s',
    async (name) => {
      const params = {
        name,
        arguments: { a: 1 },
        _meta: { progressToken: 5, 'io.modelcontextprotocol/logLevel': 'info' },
      };
      const [direct, used] = await servedBySdk(() => modern(params));
      const [long, usedThen] = await servedBySdk(() => modern(params, encoded(name)));
      // The upstreams of one era are servers of the SDK in this process, too.
      if (name.startsWith('up__')) expect([used, usedThen]).toEqual([false, true]);
      expect(direct).toEqual(long);
    },
  );

  it('asks its client for input alike, but for the state that it carries', async () => {
    const meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } };
    for (const name of ['new__ask', 'old__ask']) {
      const params = { name, _meta: meta };
      const asked = [await read(await modern(params)), await read(await modern(params, encoded(name)))];
      for (const { messages } of asked) expect(messages[0]).toMatchObject({ result: { resultType: 'input_required' } });
      const [direct, long] = asked.map(({ status, messages }) => {
        const { requestState, ...result } = (messages[0] as { result: Params }).result;
        return { status, result, carries: typeof requestState };
      });
      expect(direct).toEqual(long);
    }
  });

  it.each<[string, () => Promise<Response>, number, number]>([
    [
      'a header of another version',
      () => modern({ name: 'up__plain' }, { 'mcp-protocol-version': '2025-11-25' }),
      400,
      -32020,
    ],
    ['a header of another method', () => modern({ name: 'up__plain' }, { 'mcp-method': 'tools/list' }), 400, -32020],
    ['a header of another tool', () => modern({ name: 'up__plain' }, { 'mcp-name': 'up__meta' }), 400, -32020],
    ['no header of the tool', () => modern({ name: '' }, { 'mcp-name': 'x' }), 400, -32020],
    [
      'an envelope without capabilities',
      () => modern({ name: 'up__plain', _meta: { 'io.modelcontextprotocol/clientCapabilities': 1 } }),
      400,
      -32602,
    ],
    [
      'a level that is none',
      () => modern({ name: 'up__plain', _meta: { 'io.modelcontextprotocol/logLevel': 'loud' } }),
      400,
      -32602,
    ],
    [
      'a version that is none',
      () =>
        modern(
          { name: 'up__plain', _meta: { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } },
          { 'mcp-protocol-version': '2099-01-01' },
        ),
      400,
      -32022,
    ],
    ['an id that is none', () => modern({ name: 'up__plain' }, {}, { id: 1.5 }), 400, -32600],
    ['a field that JSON-RPC does not know', () => modern({ name: 'up__plain' }, {}, { extra: 1 }), 400, -32600],
    ['a name that is no text', () => modern({ name: 3 as never }, { 'mcp-name': '3' }), 200, -32602],
  ])('with %s is refused as the SDK refuses it', async (_what, run, status, code) => {
    const told = await read(await run());
    expect({ status: told.status, code: (told.messages[0]?.error as Params)?.code }).toEqual({ status, code });
  });

  it('is cancelled when its client leaves', async () => {
    const leaving = new AbortController();
    const before = eras[1]?.calls.filter(({ params }) => params.name === 'hang').length ?? 0;
    const left = fetch(gateway.url, {
      method: 'POST',
      signal: leaving.signal,
      headers: {
        ...JSON_AND_STREAM,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'new__hang',
      },
      body: JSON.stringify(call({ name: 'new__hang', _meta: ENVELOPE })),
    });
    await vi.waitFor(() =>
      expect(eras[1]?.calls.filter(({ params }) => params.name === 'hang').length).toBe(before + 1),
    );
    leaving.abort();
    await expect(left).rejects.toThrow();
  });
});

describe('a call on a session of the legacy era', () => {
  it.each([...NAMES.map((name) => `up__${name}`), 'old__log', 'old__link', 'new__log', 'new__ask', 'nowhere'])(
    'is answered alike with the SDK and without it: %s',
    async (name) => {
      const post = await session();
      const params = { name, arguments: { a: 1 }, _meta: { progressToken: 'p' } };
      const direct = await read(await post(call(params)));
      const long = await read(await post([call(params)]));
      expect(direct).toEqual(long);
      expect(direct.messages.at(-1)).toMatchObject({ jsonrpc: '2.0', id: 'a' });
    },
  );

  it('is JSON where nothing is told before the result, and a stream where something is', async () => {
    const post = await session();
    const type = async (name: string) => {
      const response = await post(call({ name }));
      await response.text();
      return response.headers.get('content-type');
    };
    expect(await type('up__plain')).toBe('application/json');
    expect(await type('old__log')).toBe('text/event-stream');
  });

  it('is left to the SDK where the client can be asked something', async () => {
    const post = await session({ roots: {} });
    const response = await post(call({ name: 'up__plain' }));
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(await response.text()).toContain('"ü"');
  });

  it('ends without an answer when the client cancels it', async () => {
    const post = await session();
    const hanging = post(call({ name: 'old__hang' }, 7));
    await vi.waitFor(() => expect(eras[0]?.calls.some(({ params }) => params.name === 'hang')).toBe(true));
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } };
    expect((await post(cancel)).status).toBe(202);
    expect(await (await hanging).text()).toBe('');
  });
});
