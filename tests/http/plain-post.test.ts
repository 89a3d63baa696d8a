import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createHttpApp } from '../../src/http/app.ts';
import { type Listener, listen, type Served } from '../../src/listen.ts';
import { type EraUpstream, startEraUpstream } from '../mcp/era-upstream.ts';
import { connection, type Gateway, openGateway } from '../mcp/gateway.ts';
import { type RawUpstream, startRaw } from '../mcp/upstreams.ts';
import { AGENT_KEY, fakeApp } from './fake-app.ts';

const MOST_BYTES = 4_000;
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

let upstream: RawUpstream;
let era: EraUpstream;
let gateway: Gateway;
let short: Listener;
let standard: Listener;
let session = '';
/** What the short way answered since it was last asked. */
const answered: boolean[] = [];
const { deps, lines } = fakeApp();

beforeAll(async () => {
  upstream = await startRaw(({ method, params }) => {
    const tools = ['plain', 'hang'].map((name) => ({ name, inputSchema: { type: 'object' } }));
    if (method === 'tools/list') return { result: { tools } };
    return params.name === 'hang' ? { hang: true } : { result: { content: [{ type: 'text', text: 'ü' }] } };
  });
  era = await startEraUpstream('modern');
  gateway = await openGateway({
    connections: [connection('up', { endpoint: upstream.url }), connection('new', { endpoint: era.url })],
    face: { maxBodyBytes: MOST_BYTES },
  });
  await vi.waitFor(() => {
    expect(gateway.names()).toEqual(expect.arrayContaining(['up__plain', 'new__log']));
  }, 20_000);
  const app = createHttpApp({ ...deps, mounts: [gateway.face] });
  const watched: Served = {
    fetch: app.fetch,
    async post(post) {
      const answer = await app.post(post);
      answered.push(answer !== undefined);
      return answer;
    },
  };
  short = await listen({ host: '127.0.0.1', port: 0 });
  standard = await listen({ host: '127.0.0.1', port: 0 });
  short.serve(watched);
  standard.serve({ fetch: app.fetch });
  session = await openSession();
});
afterAll(async () => {
  await Promise.all([short, standard].map((one) => one.close(Promise.resolve())));
  await gateway.close();
  await Promise.all([upstream.close(), era.close()]);
});

const JSON_TYPE = ['Content-Type: application/json', 'Accept: application/json, text/event-stream'];
const KEY = `Authorization: Bearer ${AGENT_KEY}`;
const modernHeaders = (name: string) => [
  'MCP-Protocol-Version: 2026-07-28',
  'Mcp-Method: tools/call',
  `Mcp-Name: ${name}`,
];
const MODERN = [...JSON_TYPE, ...modernHeaders('up__plain')];

const message = (params: Record<string, unknown>, more = {}) =>
  JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params, ...more });
const MODERN_CALL = message({ name: 'up__plain', _meta: META });
const LEGACY_CALL = message({ name: 'up__plain' });

/** The bytes of one request, after which its sender wants the connection closed. */
function raw(headers: readonly string[], body: string | Buffer = MODERN_CALL, line = 'POST /mcp HTTP/1.1'): Buffer {
  const bytes = Buffer.from(body);
  const own = headers.map((header) => header.toLowerCase());
  const missing = (name: string) => !own.some((header) => header.startsWith(name));
  const head = [
    line,
    ...(missing('host:') ? ['Host: localhost'] : []),
    ...headers.filter((header) => header !== 'Host: none'),
    ...(missing('content-length:') && missing('transfer-encoding:') ? [`Content-Length: ${bytes.length}`] : []),
    ...(missing('connection:') ? ['Connection: close'] : []),
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), bytes]);
}

async function exchange(origin: string, bytes: Buffer, half = false): Promise<string> {
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  if (half) socket.end(bytes);
  else socket.write(bytes);
  await once(socket, 'close');
  return text;
}

/** Status, headers and body of the last answer, but for the time and the order of headers. */
function told(all: string) {
  const text = all.replace('HTTP/1.1 100 Continue\r\n\r\n', '');
  const end = text.indexOf('\r\n\r\n');
  const [status = '', ...headers] = text.slice(0, end).split('\r\n');
  const named = headers.map((header) => header.replace(/^[^:]+/, (name) => name.toLowerCase()));
  return { status, headers: named.filter((header) => !header.startsWith('date:')).sort(), body: text.slice(end + 4) };
}

async function openSession(): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };
  const response = await fetch(`${short.origin}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${AGENT_KEY}`,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  });
  await response.text();
  return response.headers.get('mcp-session-id') ?? '';
}

const SHORT = true;
const STANDARD = false;
const chunked = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const legacy = () => [...JSON_TYPE, KEY, 'MCP-Protocol-Version: 2025-11-25', `Mcp-Session-Id: ${session}`];
const without = (start: string) => [...MODERN, KEY].filter((header) => !header.startsWith(start));

type Case = [what: string, bytes: () => Buffer, status: number, way: boolean];
const CASES: Case[] = [
  ['a call of the modern era', () => raw([...MODERN, KEY]), 200, SHORT],
  ['a call of the legacy era', () => raw(legacy(), LEGACY_CALL), 200, SHORT],
  [
    'a call of one connection',
    () =>
      raw(
        [...JSON_TYPE, KEY, ...modernHeaders('plain')],
        message({ name: 'plain', _meta: META }),
        'POST /mcp/up HTTP/1.1',
      ),
    200,
    SHORT,
  ],
  ['the other header of a key', () => raw([...MODERN, `X-API-Key: ${AGENT_KEY}`]), 200, SHORT],
  ['a key twice, in both headers', () => raw([...MODERN, KEY, `X-API-Key: ${AGENT_KEY}`]), 200, SHORT],
  ['our own Origin', () => raw([...MODERN, KEY, 'Origin: http://localhost:8080']), 200, SHORT],
  [
    'a type with parameters',
    () => raw([...without('Content-Type'), 'Content-Type: application/json; charset=utf-8']),
    200,
    SHORT,
  ],
  [
    'headers in capitals, with space around their values',
    () => raw([...MODERN, `AUTHORIZATION:   Bearer ${AGENT_KEY}  `]),
    200,
    SHORT,
  ],
  ['a host with a port', () => raw(['Host: 127.0.0.1:1234', ...MODERN, KEY]), 200, SHORT],
  ['an expectation', () => raw([...MODERN, KEY, 'Expect: 100-continue']), 200, SHORT],
  ['HTTP/1.0', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /mcp HTTP/1.0'), 200, SHORT],
  [
    'an unknown tool',
    () => raw([...JSON_TYPE, KEY, ...modernHeaders('none')], message({ name: 'none', _meta: META })),
    200,
    SHORT,
  ],
  [
    'a body that is no UTF-8',
    () => raw(legacy(), Buffer.from(message({ name: 'up__plain', arguments: { a: '\xff' } }), 'latin1')),
    200,
    SHORT,
  ],
  ['no host, in HTTP/1.0', () => raw(['Host: none', ...MODERN, KEY], MODERN_CALL, 'POST /mcp HTTP/1.0'), 400, STANDARD],
  ['no host, in HTTP/1.1', () => raw(['Host: none', ...MODERN, KEY]), 400, STANDARD],
  ['a foreign host', () => raw(['Host: evil.example', ...MODERN, KEY]), 403, STANDARD],
  ['a host that is a path', () => raw(['Host: localhost/mcp', ...MODERN, KEY]), 400, STANDARD],
  ['two hosts', () => raw(['Host: localhost', 'Host: evil.example', ...MODERN, KEY]), 403, STANDARD],
  ['a foreign Origin', () => raw([...MODERN, KEY, 'Origin: https://evil.example']), 403, STANDARD],
  ['the Origin null', () => raw([...MODERN, KEY, 'Origin: null']), 403, STANDARD],
  [
    'two Origins, ours first',
    () => raw([...MODERN, KEY, 'Origin: http://localhost', 'Origin: https://evil.example']),
    403,
    STANDARD,
  ],
  ['no key', () => raw(MODERN), 401, STANDARD],
  ['a wrong key', () => raw([...MODERN, 'Authorization: Bearer wrong']), 401, STANDARD],
  ['another scheme', () => raw([...MODERN, 'Authorization: Basic YTpi']), 401, STANDARD],
  ['two keys, the right one first', () => raw([...MODERN, KEY, 'Authorization: Bearer wrong']), 401, STANDARD],
  ['a wrong key before a right one', () => raw([...MODERN, KEY, 'X-API-Key: wrong']), 401, STANDARD],
  ['a name in two headers', () => raw([...MODERN, KEY, 'Mcp-Name: up__hang']), 400, STANDARD],
  ['a type in two headers', () => raw([...MODERN, KEY, 'Content-Type: text/plain']), 415, STANDARD],
  ['another type', () => raw([...without('Content-Type'), 'Content-Type: text/plain']), 415, STANDARD],
  ['no type', () => raw(without('Content-Type')), 415, STANDARD],
  ['a body in pieces', () => raw([...MODERN, KEY, 'Transfer-Encoding: chunked'], chunked(MODERN_CALL)), 200, STANDARD],
  [
    'a length and pieces',
    () => raw([...MODERN, KEY, 'Transfer-Encoding: chunked', 'Content-Length: 5'], chunked(MODERN_CALL)),
    400,
    STANDARD,
  ],
  ['a length that is none', () => raw([...MODERN, KEY, 'Content-Length: +5']), 400, STANDARD],
  [
    'a body that is too large',
    () => raw([...MODERN, KEY], message({ name: 'up__plain', a: 'a'.repeat(MOST_BYTES), _meta: META })),
    413,
    STANDARD,
  ],
  [
    'pieces that are too large',
    () => raw([...MODERN, KEY, 'Transfer-Encoding: chunked'], chunked('a'.repeat(MOST_BYTES + 1))),
    413,
    STANDARD,
  ],
  ['no JSON', () => raw([...MODERN, KEY], '{'), 400, STANDARD],
  ['no body', () => raw([...MODERN, KEY], ''), 400, STANDARD],
  ['a byte order mark', () => raw([...MODERN, KEY], `\ufeff${MODERN_CALL}`), 200, STANDARD],
  ['several messages', () => raw([...MODERN, KEY], `[${MODERN_CALL}]`), 400, STANDARD],
  ['a header of another tool', () => raw([...JSON_TYPE, KEY, ...modernHeaders('up__hang')]), 400, STANDARD],
  ['another version', () => raw([...without('MCP-Protocol'), 'MCP-Protocol-Version: 2025-11-25']), 400, STANDARD],
  [
    'another method',
    () =>
      raw(
        [...JSON_TYPE, KEY, 'MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/list'],
        message({ _meta: META }, { method: 'tools/list' }),
      ),
    200,
    STANDARD,
  ],
  ['a session that is none', () => raw([...JSON_TYPE, KEY, 'Mcp-Session-Id: x'], LEGACY_CALL), 404, STANDARD],
  ['no session', () => raw([...JSON_TYPE, KEY], LEGACY_CALL), 400, STANDARD],
  [
    'a notification on a session',
    () => raw(legacy(), '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}'),
    202,
    STANDARD,
  ],
  [
    'a legacy call that accepts no stream',
    () => raw([...legacy().filter((one) => !one.startsWith('Accept')), 'Accept: application/json'], LEGACY_CALL),
    406,
    STANDARD,
  ],
  ['a query', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /mcp?x=1 HTTP/1.1'), 200, STANDARD],
  ['a whole address', () => raw([...MODERN, KEY], MODERN_CALL, 'POST http://localhost/mcp HTTP/1.1'), 200, STANDARD],
  [
    'a whole address of another host',
    () => raw([...MODERN, KEY], MODERN_CALL, 'POST http://evil.example/mcp HTTP/1.1'),
    200,
    STANDARD,
  ],
  ['a path with dots', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /x/../mcp HTTP/1.1'), 200, STANDARD],
  [
    'a path that is encoded',
    () =>
      raw(
        [...JSON_TYPE, KEY, ...modernHeaders('plain')],
        message({ name: 'plain', _meta: META }),
        'POST /mcp/%75p HTTP/1.1',
      ),
    200,
    STANDARD,
  ],
  ['a connection that is none', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /mcp/none HTTP/1.1'), 404, STANDARD],
  ['a path below a connection', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /mcp/up/x HTTP/1.1'), 404, STANDARD],
  ['no mount', () => raw([...MODERN, KEY], MODERN_CALL, 'POST /elsewhere HTTP/1.1'), 404, STANDARD],
  ['GET', () => raw([...MODERN, KEY], '', 'GET /mcp HTTP/1.1'), 400, STANDARD],
  ['HEAD', () => raw([...MODERN, KEY], '', 'HEAD /mcp HTTP/1.1'), 405, STANDARD],
  ['PUT', () => raw([...MODERN, KEY], MODERN_CALL, 'PUT /mcp HTTP/1.1'), 405, STANDARD],
  ['OPTIONS', () => raw([...MODERN, KEY], '', 'OPTIONS /mcp HTTP/1.1'), 405, STANDARD],
  ['a method in small letters', () => raw([...MODERN, KEY], MODERN_CALL, 'post /mcp HTTP/1.1'), 400, STANDARD],
];

describe('the short way of a plain POST', () => {
  it.each(CASES)('answers as the standard way does: %s', async (_what, bytes, status, way) => {
    answered.length = 0;
    const [a, b] = [told(await exchange(short.origin, bytes())), told(await exchange(standard.origin, bytes()))];
    expect(a).toEqual(b);
    expect(a.status).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answered.includes(true)).toBe(way);
  });

  it('answers pipelined requests in their order, whichever way each goes', async () => {
    const call = (id: number, name = 'up__plain') => message({ name, _meta: META }, { id });
    const kept = [...MODERN, KEY, 'Connection: keep-alive'];
    const pieces = [...kept, 'Transfer-Encoding: chunked'];
    const bytes = Buffer.concat([raw(kept, call(1)), raw(pieces, chunked(call(2))), raw([...MODERN, KEY], call(3))]);
    const ids = (text: string) => [...text.matchAll(/"id":(\d)/g)].map(([, id]) => id);
    expect(ids(await exchange(short.origin, bytes))).toEqual(['1', '2', '3']);
    expect(ids(await exchange(standard.origin, bytes))).toEqual(['1', '2', '3']);
  });

  it('tells progress and messages before the result as the standard way does', async () => {
    const params = {
      name: 'new__log',
      _meta: { ...META, progressToken: 1, 'io.modelcontextprotocol/logLevel': 'info' },
    };
    const bytes = raw([...JSON_TYPE, KEY, ...modernHeaders('new__log')], message(params));
    const framing = /^(transfer-encoding|content-length|connection):/;
    const [a, b] = [short, standard].map(async ({ origin }) => {
      const { headers, body, ...rest } = told(await exchange(origin, bytes));
      const events = [...body.matchAll(/^data: .*$/gm)].map(([data]) => data);
      return { ...rest, headers: headers.filter((header) => !framing.test(header)), events };
    });
    expect(await a).toEqual(await b);
    expect((await a)?.events.length).toBeGreaterThan(1);
  });

  it.each(['leaves', 'half closes its connection'])('cancels the call when its client %s', async (how) => {
    for (const { origin } of [short, standard]) {
      const before = upstream.broken();
      const asked = upstream.requests.length;
      const socket = connect(Number(new URL(origin).port), '127.0.0.1').on('error', () => undefined);
      const params = { name: 'up__hang', _meta: META };
      socket.resume().write(raw([...JSON_TYPE, KEY, ...modernHeaders('up__hang')], message(params)));
      await vi.waitFor(() => expect(upstream.requests.length).toBe(asked + 1));
      const closed = once(socket, 'close');
      if (how === 'leaves') socket.destroy();
      else socket.end();
      await vi.waitFor(() => expect(upstream.broken()).toBe(before + 1));
      await closed;
    }
  });

  it('asks nothing of anybody, and logs nothing, when its client leaves in the midst of its body', async () => {
    answered.length = 0;
    const asked = upstream.requests.length;
    const bytes = raw([...MODERN, KEY]);
    const socket = connect(Number(new URL(short.origin).port), '127.0.0.1').on('error', () => undefined);
    socket.write(bytes.subarray(0, bytes.length - 5), () => socket.destroy());
    await vi.waitFor(() => expect(answered).toEqual([false]));
    expect([upstream.requests.length, lines]).toEqual([asked, []]);
  });
});
