import type { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ACTOR_HEADER, connection, type Gateway, openGateway } from './gateway.ts';
import { connectPipe, pipeFace } from './pipe.ts';
import { type RawReply, type RawUpstream, startRaw } from './upstreams.ts';

type Params = Record<string, unknown>;
type Answered = { status: number; result?: Params; error?: { code: number; message: string } };

/** Far beyond what a recursive reader or writer survives, in 200 kB. */
const NESTED = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
const JSON_TYPE = { 'content-type': 'application/json' };
const OK = { content: [{ type: 'text', text: 'ok' }] };

let gateway: Gateway;
let upstream: RawUpstream;
/** Raw JSON of a result or an error, by the tool that is called. */
const raw = (id: unknown, rest: string): RawReply => ({
  status: 200,
  headers: JSON_TYPE,
  body: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},${rest}}`,
});

beforeAll(async () => {
  upstream = await startRaw(({ method, params, id }) => {
    if (method === 'tools/list') {
      const tool = (name: string, schema = '') => `{"name":"${name}","inputSchema":{"type":"object"${schema}}}`;
      const tools = [tool('fine'), tool('schema', `,"default":${NESTED}`), tool('result'), tool('error')];
      return raw(id, `"result":{"resultType":"complete","tools":[${tools.join(',')}]}`);
    }
    if (params.name === 'result') return raw(id, `"result":{"content":[],"structuredContent":${NESTED}}`);
    if (params.name === 'error') return raw(id, `"error":{"code":-32602,"message":"no","data":${NESTED}}`);
    return { result: OK };
  });
  gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
  await vi.waitFor(() => expect(gateway.names()).toContain('up__fine'), 20_000);
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const HEADERS = { ...JSON_TYPE, accept: 'application/json, text/event-stream', [ACTOR_HEADER]: 'apikey:a' };
const META =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"r","version":"1"},"io.modelcontextprotocol/clientCapabilities":CAPS}';

async function post(url: string, headers: Record<string, string>, body: string): Promise<Answered> {
  const response = await fetch(url, { method: 'POST', headers: { ...HEADERS, ...headers }, body });
  const text = await response.text();
  const last = text.includes('data: ') ? text.slice(text.lastIndexOf('data: ') + 6) : text;
  return { status: response.status, ...(last === '' ? {} : (JSON.parse(last) as Params)) };
}

const message = (method: string, params: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{${params}}}`;

type Way = (url: string, name: string, args: string) => Promise<Answered>;

async function openSession(url: string, capabilities: string): Promise<Record<string, string>> {
  const opening = `"protocolVersion":"2025-11-25","capabilities":${capabilities},"clientInfo":{"name":"r","version":"1"}`;
  const opened = await fetch(url, { method: 'POST', headers: HEADERS, body: message('initialize', opening) });
  await opened.text();
  return { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
}

const modern =
  (header: (name: string) => string, capabilities: string): Way =>
  (url, name, args) => {
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': header(name) };
    const params = `"name":"${name}","arguments":${args},${META.replace('CAPS', capabilities)}`;
    return post(url, headers, message('tools/call', params));
  };
const legacy =
  (capabilities: string): Way =>
  async (url, name, args) =>
    post(url, await openSession(url, capabilities), message('tools/call', `"name":"${name}","arguments":${args}`));

const encoded = (name: string) => `=?base64?${Buffer.from(name).toString('base64')}?=`;
const WAYS: Record<string, Way> = {
  'of the modern era': modern((name) => name, '{}'),
  'of the modern era whose client can be asked': modern((name) => name, '{"elicitation":{}}'),
  'of the modern era by way of the SDK': modern(encoded, '{}'),
  'of the legacy era': legacy('{}'),
  'of the legacy era whose client can be asked': legacy('{"elicitation":{}}'),
};

describe.each(Object.entries(WAYS))('in a call %s, 100,000 levels', (_, call) => {
  const addresses = () => [
    [gateway.url, 'up__'],
    [`${gateway.url}/up`, ''],
  ];

  it.each([
    ['of arguments', `{"x":${NESTED}}`],
    ['in place of arguments', NESTED],
  ])('%s are refused in words, and nothing of it reaches the upstream', async (_what, args) => {
    for (const [url, prefix] of addresses()) {
      const before = upstream.requests.length;
      const { status, error, result } = await call(String(url), `${prefix}fine`, args);
      expect({ status, result, code: error?.code }).toEqual({ status: 400, code: -32600 });
      expect(error?.message).toMatch(/nested/i);
      expect(upstream.requests.filter(({ method }) => method === 'tools/call').length - before).toBeLessThanOrEqual(0);
      expect((await call(String(url), `${prefix}fine`, '{}')).result).toMatchObject(OK);
    }
  });

  it('of a result and of an error are not passed on, and others are served', async () => {
    for (const [url, prefix] of addresses()) {
      const bad = await call(String(url), `${prefix}result`, '{}');
      expect(bad.result).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/nested/) }] });
      const failed = await call(String(url), `${prefix}error`, '{}');
      expect(failed.error).toEqual({ code: -32602, message: 'no' });
      expect((await call(String(url), `${prefix}fine`, '{}')).result).toMatchObject(OK);
    }
  });
});

it('900 levels are passed on', async () => {
  const args = `{"x":${'['.repeat(900)}${']'.repeat(900)}}`;
  for (const call of Object.values(WAYS)) {
    expect((await call(gateway.url, 'up__fine', args)).result).toMatchObject(OK);
    expect(JSON.stringify(upstream.requests.at(-1)?.params.arguments)).toBe(args);
  }
});

describe('elsewhere, 100,000 levels', () => {
  it.each(['legacy', 'auto'] as const)('over a pipe are refused in words: mode %s', async (mode) => {
    const face = pipeFace(gateway);
    let write: (line: string) => void = () => undefined;
    const { client, close } = await connectPipe((stdin, stdout) => {
      write = (line) => void (stdin as PassThrough).write(`${line}\n`);
      return face.serve(stdin, stdout);
    }, mode);
    const failed = new Promise<Error>((resolve) => {
      client.onerror = resolve;
    });
    write(
      message('tools/call', `"name":"up__fine","arguments":${NESTED},${META.replace('CAPS', '{}')}`).replace(
        '"id":1',
        '"id":"deep"',
      ),
    );
    expect((await failed).message).toMatch(/unknown message ID.*-32600.*nested/s);
    expect(await client.callTool({ name: 'up__fine' })).toMatchObject(OK);
    await close();
  });

  it('in the schema of a tool cost that tool alone', () => {
    expect(gateway.names()).toEqual(['up__fine', 'up__result', 'up__error']);
  });

  it.each([
    ['what a client says of itself', message('tools/call', `"name":"up__fine",${META.replace('CAPS', NESTED)}`)],
    ['_meta', message('tools/call', `"name":"up__fine","_meta":{"x":${NESTED}}`)],
    ['the id', `{"jsonrpc":"2.0","id":${NESTED},"method":"tools/call","params":{}}`],
    ['a list', message('tools/list', `"cursor":${NESTED},${META.replace('CAPS', '{}')}`)],
    ['a filter', message('subscriptions/listen', `"notifications":${NESTED},${META.replace('CAPS', '{}')}`)],
    ['initialize', message('initialize', `"protocolVersion":"2025-11-25","capabilities":${NESTED}`)],
    ['the message', NESTED],
  ])('of %s are an error, and the next request is served', async (_what, body) => {
    for (const headers of [
      {},
      { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'up__fine' },
      await openSession(gateway.url, '{}'),
    ]) {
      const answered = await post(gateway.url, headers, body);
      expect(answered.error, JSON.stringify(answered)).toMatchObject({ message: expect.any(String) });
      expect(answered.result).toBeUndefined();
    }
    expect((await WAYS['of the modern era']?.(gateway.url, 'up__fine', '{}'))?.result).toMatchObject(OK);
  });
});
