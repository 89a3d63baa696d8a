import { once } from 'node:events';
import { createServer, type IncomingMessage, request as rawRequest, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ArrivalLimits } from '../../src/arrival.ts';
import { accessRules } from '../../src/core/access-rule.ts';
import { AppError } from '../../src/core/errors.ts';
import type { CallBeginning, CallEnd, ToolkitContext } from '../../src/core/ports.ts';
import { createPassthrough } from '../../src/flows/passthrough.ts';
import { createApiKeys, hashToken } from '../../src/http/api-keys.ts';
import { createHttpApp } from '../../src/http/app.ts';
import { createGateway } from '../../src/http/gateway.ts';
import { listen as listenHere } from '../../src/listen.ts';
import { listen, stop } from '../mcp/gateway.ts';
import { openApi } from '../toolkits/api-context.ts';
import { AGENT_KEY, fakeApp } from './fake-app.ts';

const TOOLS_ONLY = 'key-for-some-tools-only';
const ELSEWHERE = 'key-for-other-connections';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Handler = (incoming: IncomingMessage, response: ServerResponse) => void;

/** The whole way: our listener, app, flow and toolkit, and a real API behind them. */
async function serve(
  handler: Handler,
  config: Record<string, unknown> = {},
  changed: Partial<ToolkitContext> = {},
  arrival?: ArrivalLimits,
) {
  const server = createServer(handler);
  const port = await listen(server);
  closing.push(() => stop(server));
  const upstream = `http://127.0.0.1:${port}`;
  const api = openApi({ base_url: `${upstream}/v1`, ...config }, changed);
  const noted: (AppError | null)[] = [];
  const recorded: { call: CallBeginning; end: CallEnd }[] = [];
  const plainTargets = (name: string) =>
    name === 'shop' && api.handle
      ? [
          {
            key: { kind: 'api', name },
            handle: api.handle.bind(api),
            note: (error: AppError | null) => void noted.push(error),
          },
        ]
      : [];
  const passthrough = createPassthrough({
    catalog: { plainTargets },
    publicUrl: 'https://mcp.example',
    calls: {
      begin: (call) => (end) => void (recorded.some((one) => one.call === call) || recorded.push({ call, end })),
    },
  });
  const { deps } = fakeApp();
  const keys = [
    { name: 'bot', key: AGENT_KEY, access: accessRules({}) },
    { name: 'tools', key: TOOLS_ONLY, access: accessRules({ allow: ['api/shop:api_read_endpoint'] }) },
    { name: 'else', key: ELSEWHERE, access: accessRules({ deny: ['api/*'] }) },
  ].map(({ name, key, access }) => ({ name, role: 'agent' as const, key_hash: hashToken(key), access }));
  const app = createHttpApp({ ...deps, apiKeys: createApiKeys(keys), mounts: [createGateway(passthrough)] });
  const listener = await listenHere({ host: '127.0.0.1', port: 0 }, arrival);
  closing.push(() => listener.close(Promise.resolve()));
  listener.serve(app);
  const send = (path: string, init: RequestInit & { duplex?: 'half' } = {}, key = AGENT_KEY) =>
    fetch(`${listener.origin}/api/v1/gateway${path}`, {
      redirect: 'manual',
      ...init,
      headers: { 'x-api-key': key, ...(init.headers as Record<string, string>) },
    });
  return { send, upstream, origin: listener.origin, noted, recorded };
}

const echo: Handler = (incoming, response) => {
  const { method, url, headers } = incoming;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ method, url, headers }));
};

describe('the gateway for programs', () => {
  it('passes a request on with its path and query, and without our key', async () => {
    const { send, noted } = await serve(echo, { auth_mode: 'bearer', credential: 'theirs' });
    const response = await send('/shop/items/a%2Fb?q=%20x', { headers: { authorization: `Bearer ${AGENT_KEY}` } });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).not.toContain(AGENT_KEY);
    expect(JSON.parse(text)).toMatchObject({
      method: 'GET',
      url: '/v1/items/a%2Fb?q=%20x',
      headers: { authorization: 'Bearer theirs' },
    });
    expect(noted).toEqual([null]);
  });

  it('answers with what is safe to show under our address', async () => {
    const { send } = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html', 'set-cookie': 'a=b', 'access-control-allow-origin': '*' });
      response.end('<script>alert(1)</script>');
    });
    const { headers } = await send('/shop/page');
    expect(headers.get('set-cookie')).toBeNull();
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('content-security-policy')).toContain('sandbox');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('tells redirects and links below the base as addresses of ours', async () => {
    const { send } = await serve((_, response) =>
      response.writeHead(301, { location: '/v1/b?x=1', link: '</v1/items?p=2>; rel="next"' }).end(),
    );
    const { status, headers } = await send('/shop/a');
    expect(status).toBe(301);
    expect(headers.get('location')).toBe('/api/v1/gateway/shop/b?x=1');
    expect(headers.get('link')).toBe('</api/v1/gateway/shop/items?p=2>; rel="next"');
  });

  it.each([
    ['without a key', '/shop/a', '', 401, 'unauthenticated'],
    ['with a key for some of its tools', '/shop/a', TOOLS_ONLY, 403, 'forbidden'],
    ['with a key for other connections', '/shop/a', ELSEWHERE, 404, 'not_found'],
    ['to a connection that is not there', '/nowhere/a', AGENT_KEY, 404, 'not_found'],
    ['to no connection', '/', AGENT_KEY, 404, 'not_found'],
    ['to a path that climbs', '/shop/a%2F..%2F..%2Fb', AGENT_KEY, 400, 'invalid_request'],
  ])('refuses a request %s', async (_, path, key, status, code) => {
    const { send } = await serve(echo);
    const response = await send(path, {}, key);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ code });
  });

  it('tells a refused credential as a failure of the connection, with where to mend it (lesson 28)', async () => {
    const { send } = await serve((_, response) => response.writeHead(401, { 'www-authenticate': 'Bearer' }).end());
    const response = await send('/shop/a');
    expect(response.status).toBe(502);
    expect(response.headers.get('www-authenticate')).toBeNull();
    expect(await response.json()).toMatchObject({
      code: 'upstream_failed',
      detail: expect.stringContaining('https://mcp.example/connections/api/shop'),
    });
  });

  it('says that a person is needed, and notes it at the connection', async () => {
    const accessToken = async () => {
      throw new AppError('needs_person', 'Nobody has connected it yet.');
    };
    const { send, noted } = await serve(echo, { auth_mode: 'oauth' }, { accessToken });
    const response = await send('/shop/a');
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      code: 'needs_person',
      detail: expect.stringContaining('/connections/'),
    });
    expect(noted).toEqual([expect.objectContaining({ code: 'needs_person' })]);
  });

  it('leaves one record of each, with how it ended and how large it was', async () => {
    const { send, recorded } = await serve((incoming, response) => {
      response.writeHead(incoming.url === '/v1/lost' ? 404 : 200, { 'content-type': 'text/plain' });
      response.write('begun');
      if (incoming.url === '/v1/breaks') setImmediate(() => response.destroy());
      else response.end(' and ended');
    });
    await (await send('/shop/a?secret=1', { method: 'POST', body: 'abc' })).text();
    await (await send('/shop/lost')).text();
    await (await send('/shop/breaks')).text().catch(() => undefined);
    await send('/shop/a%2F..%2Fb');
    const call = { key: { kind: 'api', name: 'shop' }, actor: 'apikey:bot', era: 'http', method: 'GET' };
    expect(recorded).toEqual([
      { call: { ...call, method: 'POST', request_bytes: 3 }, end: { outcome: 'ok', response_bytes: 15 } },
      { call, end: { outcome: 'upstream_error', response_bytes: 15 } },
      { call, end: { outcome: 'unavailable', response_bytes: 5 } },
      { call, end: { outcome: 'refused' } },
    ]);
  });

  it('answers HEAD and OPTIONS as the API does', async () => {
    const { send } = await serve((incoming, response) =>
      response.writeHead(200, { 'x-method': incoming.method, 'content-length': '777' }).end(),
    );
    const head = await send('/shop/a', { method: 'HEAD' });
    expect([head.status, head.headers.get('x-method'), head.headers.get('content-length')]).toEqual([
      200,
      'HEAD',
      '777',
    ]);
    const other = await serve((incoming, response) => response.writeHead(204, { 'x-method': incoming.method }).end());
    const options = await other.send('/shop/a', { method: 'OPTIONS' });
    expect([options.status, options.headers.get('x-method')]).toEqual([204, 'OPTIONS']);
  });

  it('streams a body of unknown length up and its answer down', async () => {
    const { send } = await serve((incoming, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      incoming.pipe(response);
    });
    let left = 200;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        left -= 1;
        if (left < 0) controller.close();
        else controller.enqueue(new Uint8Array(65_536).fill(left));
      },
    });
    const response = await send('/shop/up', { method: 'POST', body, duplex: 'half' });
    expect((await response.arrayBuffer()).byteLength).toBe(200 * 65_536);
  });

  it('carries what a client and an API have agreed on: lengths, compression, ranges', async () => {
    let seen: IncomingMessage['headers'] = {};
    const { send } = await serve((incoming, response) => {
      seen = incoming.headers;
      response.writeHead(206, { 'content-range': 'bytes 0-4/10', 'content-length': '5', 'accept-ranges': 'bytes' });
      response.end('hello');
    });
    const response = await send('/shop/f', { method: 'PUT', body: 'ab', headers: { range: 'bytes=0-4' } });
    expect(seen).toMatchObject({ range: 'bytes=0-4', 'content-length': '2' });
    expect(seen).not.toHaveProperty('transfer-encoding');
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe('bytes 0-4/10');
    expect(response.headers.get('content-length')).toBe('5');
    expect(await response.text()).toBe('hello');
  });

  it('ends at the API when the caller leaves, and breaks off for the caller when the API does', async () => {
    let gone = 0;
    const { send, origin } = await serve((incoming, response) => {
      response.on('close', () => {
        if (!response.writableFinished) gone += 1;
      });
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('begun');
      if (incoming.url === '/v1/breaks') setImmediate(() => response.destroy());
    });
    const client = rawRequest(`${origin}/api/v1/gateway/shop/endless`, { headers: { 'x-api-key': AGENT_KEY } });
    client.on('error', () => undefined);
    client.on('response', (response) => response.once('data', () => client.destroy()));
    client.end();
    await vi.waitFor(() => expect(gone).toBe(1));
    await expect((await send('/shop/breaks')).text()).rejects.toThrow();
  });

  it('breaks an answer off where the API does, without a word of ours in it', async () => {
    const { origin } = await serve((_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    const client = rawRequest(`${origin}/api/v1/gateway/shop/a`, { headers: { 'x-api-key': AGENT_KEY } }).end();
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    let text = '';
    answer.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const [error] = (await once(answer, 'error')) as [Error];
    expect({ status: answer.statusCode, text, complete: answer.complete }).toEqual({
      status: 200,
      text: 'begun',
      complete: false,
    });
    expect(error.message).toBe('aborted');
  });

  it.each(['GET', 'HEAD'])('refuses the body of a %s, which would not reach the API', async (method) => {
    let asked = 0;
    const { origin } = await serve((_incoming, response) => {
      asked += 1;
      response.end();
    });
    const headers = { 'x-api-key': AGENT_KEY, 'content-length': 2 };
    const client = rawRequest(`${origin}/api/v1/gateway/shop/_search`, { method, headers }).end('{}');
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    answer.resume();
    expect({ status: answer.statusCode, asked }).toEqual({ status: 400, asked: 0 });
  });
});

/** A connection by which a test writes what it likes; `received` is the raw text that came back. */
function rawConnection(origin: string, text: string) {
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    received += piece;
  });
  socket.on('error', () => undefined);
  closing.push(async () => void socket.destroy());
  socket.write(text);
  return { socket, received: () => received, closed: once(socket, 'close') };
}

describe('a request that arrives slowly', () => {
  const arrival = { limit_ms: 200, look_ms: 20 };
  const lines = (...all: string[]) => `${all.join('\r\n')}\r\n`;
  const key = `x-api-key: ${AGENT_KEY}`;
  const upload = ['POST /api/v1/gateway/shop/up HTTP/1.1', 'host: 127.0.0.1', 'transfer-encoding: chunked'];

  it('through the gateway goes on while it moves, and its connection is good for the next one', async () => {
    let read = 0;
    const count: Handler = (incoming, response) => {
      incoming.on('data', (chunk: Buffer) => {
        read += chunk.length;
      });
      incoming.on('end', () => response.end(String(read)));
    };
    const { origin } = await serve(count, {}, {}, arrival);
    const { socket, received } = rawConnection(origin, lines(...upload, key, ''));
    const began = performance.now();
    while (performance.now() - began < 5 * arrival.limit_ms) {
      const already = read;
      socket.write(lines('1', 'a'));
      await vi.waitFor(() => expect(read).toBeGreaterThan(already));
    }
    socket.write(lines('0', ''));
    await vi.waitFor(() =>
      expect(received().split('\r\n')).toEqual(expect.arrayContaining(['HTTP/1.1 200 OK', String(read)])),
    );
    socket.write(lines('GET /api/v1/gateway/nowhere/a HTTP/1.1', 'host: 127.0.0.1', key, ''));
    await vi.waitFor(() => expect(received()).toMatch(/HTTP\/1\.1 404 /));
  });

  it.each([
    ['in its headers', lines(...upload, key), 408],
    ['to another address', lines('POST /healthz HTTP/1.1', 'host: 127.0.0.1', 'content-length: 9', ''), 404],
    ['without a key', lines(...upload, ''), 401],
    ['to no connection', lines('POST /api/v1/gateway/nowhere/a HTTP/1.1', ...upload.slice(1), key, ''), 404],
  ])('%s is ended by us', async (_, text, status) => {
    const { origin } = await serve(echo, {}, {}, arrival);
    const { received, closed } = rawConnection(origin, text);
    await closed;
    expect(received()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('and is no HTTP is told so', async () => {
    const { origin } = await serve(echo, {}, {}, arrival);
    const { received, closed } = rawConnection(origin, 'hello\r\n\r\n');
    await closed;
    expect(received()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});
