import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RpcError } from '../../src/core/rpc-error.ts';
import { fakeToolkit, fakeUpstream, tool } from '../flows/fake-toolkit.ts';
import { type LegacyFake, startLegacyFake } from '../toolkits/legacy-fake.ts';
import { type Called, connectV1, connectV2 } from './clients.ts';
import { ACTOR_HEADER, connection, type Gateway, openGateway } from './gateway.ts';
import { type RawUpstream, startRaw } from './upstreams.ts';

type Params = Record<string, unknown>;
type Answered = { result?: Called & Params; error?: { code: number; message: string } };

const OK = [{ type: 'text', text: 'ok' }];
const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`) as unknown;

/** What each tool answers, and what its client gets: the result, or a failure that says this. */
const RESULTS: Record<string, { sent: Params; got: Params | RegExp }> = {
  fine: { sent: { content: OK, _meta: { 'com.example/x': 1 } }, got: { content: OK } },
  meta_text: { sent: { content: OK, _meta: 'x' }, got: { content: OK } },
  meta_list: { sent: { content: OK, _meta: [1] }, got: { content: OK } },
  meta_null: { sent: { content: OK, _meta: null }, got: { content: OK } },
  no_content: { sent: {}, got: { content: [] } },
  content_text: { sent: { content: 'x' }, got: /content is no list/ },
  content_null: { sent: { content: null }, got: /content is no list/ },
  content_object: { sent: { content: { a: 1 } }, got: /content is no list/ },
  blocks: { sent: { content: [1] }, got: /content is no list/ },
  block_without_type: { sent: { content: [{ text: 'x' }] }, got: /content is no list/ },
  is_error_text: { sent: { content: OK, isError: 'true' }, got: /isError is neither/ },
  is_error_null: { sent: { content: OK, isError: null }, got: /isError is neither/ },
  type_number: { sent: { content: OK, resultType: 5 }, got: /kind of result that is not supported/ },
  asks_nothing: { sent: { resultType: 'input_required', inputRequests: [1] }, got: /inputRequests is no object/ },
  state_number: { sent: { resultType: 'input_required', requestState: 1 }, got: /requestState is no text/ },
  bottomless: { sent: { content: OK, structuredContent: deep(20_000) }, got: /nested more than 1000 levels/ },
};
const NAMES = Object.keys(RESULTS);
const TOOLS = NAMES.map((name) => ({ name, inputSchema: { type: 'object' } }));

let gateway: Gateway;
let modern: RawUpstream;
let legacy: LegacyFake;

beforeAll(async () => {
  const answer = (method: string | undefined, { name }: Params): Params =>
    method === 'tools/list' ? { tools: TOOLS } : (RESULTS[String(name)]?.sent ?? {});
  modern = await startRaw(async ({ method, params }) => {
    if (params.name !== 'bottomless') return { result: answer(method, params) };
    // JSON.stringify cannot write it either.
    const body = `{"jsonrpc":"2.0","id":ID,"result":{"content":[],"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`;
    return { status: 200, body: body.replace('ID', String(modern.requests.at(-1)?.id)), headers: JSON_TYPE };
  });
  legacy = await startLegacyFake(({ method, id, params }, { send, raw, end }) => {
    if (params.name !== 'bottomless') send({ id, result: answer(method, params) });
    else {
      const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
      raw(`data: {"jsonrpc":"2.0","id":${String(id)},"result":{"content":[],"x":${nested}}}\n\n`);
    }
    end();
  });
  gateway = await openGateway({
    connections: [connection('new', { endpoint: modern.url }), connection('old', { endpoint: legacy.url })],
  });
  await vi.waitFor(() => {
    for (const name of ['new__fine', 'old__fine']) expect(gateway.names()).toContain(name);
  }, 20_000);
});
afterAll(async () => {
  await gateway.close();
  await modern.close();
  await legacy.close();
});

const JSON_TYPE = { 'content-type': 'application/json' };
const HEADERS = { ...JSON_TYPE, accept: 'application/json, text/event-stream', [ACTOR_HEADER]: 'apikey:a' };
const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

async function post(url: string, headers: Record<string, string>, body: Params): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { ...HEADERS, ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }),
  });
}

async function read(response: Response): Promise<Answered> {
  const text = await response.text();
  return JSON.parse(text.includes('data: ') ? text.slice(text.lastIndexOf('data: ') + 6) : text) as Answered;
}

async function callModern(url: string, name: string, header: string): Promise<Answered> {
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': header };
  const params = { name, arguments: {}, _meta: ENVELOPE };
  return read(await post(url, headers, { method: 'tools/call', params }));
}

async function callLegacy(url: string, name: string, capabilities: Params): Promise<Answered> {
  const clientInfo = { name: 'raw', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo };
  const opened = await post(url, {}, { method: 'initialize', params });
  await opened.text();
  const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
  return read(await post(url, session, { method: 'tools/call', params: { name, arguments: {} } }));
}

async function callOf(connecting: ReturnType<typeof connectV1>, name: string): Promise<Answered> {
  const client = await connecting;
  const told = ({ code, message }: RpcError) => ({ error: { code, message } });
  return client
    .call(name)
    .then((result) => ({ result: result as Called & Params }), told)
    .finally(() => client.close());
}

/** A call of each era, answered by us and by the SDK's server, and of the official clients. */
const WAYS: Record<string, (url: string, name: string) => Promise<Answered>> = {
  'of the modern era': (url, name) => callModern(url, name, name),
  'of the modern era by way of the SDK': (url, name) =>
    callModern(url, name, `=?base64?${Buffer.from(name).toString('base64')}?=`),
  'of the legacy era': (url, name) => callLegacy(url, name, {}),
  'of the legacy era by way of the SDK': (url, name) => callLegacy(url, name, { elicitation: {} }),
  'of the official client': (url, name) => callOf(connectV2(url), name),
  'of the older official client': (url, name) => callOf(connectV1(url), name),
};

describe.each(Object.entries(WAYS))('a call %s', (_, call) => {
  it.each(['new', 'old'])(
    'gets an answer that its client can read, whatever mcp/%s says',
    async (name) => {
      for (const tool of NAMES) {
        const { got } = RESULTS[tool] as (typeof RESULTS)[string];
        for (const answered of [call(gateway.url, `${name}__${tool}`), call(`${gateway.url}/${name}`, tool)]) {
          const { result, error } = await answered;
          const said = error?.message ?? result?.content?.[0]?.text ?? '';
          if (!(got instanceof RegExp)) expect(result, tool).toMatchObject(got);
          else {
            expect(said, tool).toMatch(got);
            expect(said, tool).toContain(tool === 'bottomless' ? 'upstream' : `mcp/${name}`);
            expect(error ?? result?.isError, tool).toBeTruthy();
          }
        }
      }
    },
    60_000,
  );
});

it('a toolkit of another kind gets its result through, whatever it takes for _meta', async () => {
  const upstream = fakeUpstream(tool('t'));
  upstream.answers['tools/call'] = { content: OK, _meta: 'x' };
  const own = await openGateway({
    toolkits: [fakeToolkit('own', new Map([['up', upstream]]))],
    connections: [connection('up', {}, 'own')],
  });
  await vi.waitFor(() => expect(own.names()).toEqual(['up__t']));
  for (const call of Object.values(WAYS)) {
    expect((await call(own.url, 'up__t')).result).toMatchObject({ content: OK });
    expect((await call(`${own.url}/up`, 't')).result).toMatchObject({ content: OK });
  }
  await own.close();
}, 30_000);
