import http from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import net from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { FetchInit } from '../../src/core/ports.ts';
import { EgressError } from '../../src/core/ports.ts';
import { createEgress } from '../../src/egress.ts';

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

const serve = (handler: http.RequestListener) => listen(http.createServer(handler));

function egressWith(names: Record<string, string[]> = {}, connect_timeout_ms?: number) {
  const asked: string[] = [];
  const egress = createEgress({
    resolve: async (hostname) => {
      asked.push(hostname);
      const addresses = names[hostname];
      if (!addresses) throw new Error('ENOTFOUND');
      return addresses;
    },
    ...(connect_timeout_ms === undefined ? {} : { connect_timeout_ms }),
  });
  closing.push(() => egress.close());
  return { egress, asked };
}

const typed: FetchInit = { trust: { url: 'typed' } };
const discovered = (origin_of_trust: string): FetchInit => ({ trust: { url: 'discovered', origin_of_trust } });

async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error('did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof EgressError)) throw error;
  return `${error.phase} ${error.reason}`;
}

describe('where a request may go (lesson 49)', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data',
    'http://2852039166/',
    'http://0xa9fea9fe/',
    'http://0xa9.0376.43518/',
    'http://0251.0376.0251.0376/',
    'http://169.254.43518/',
    'http://%31%36%39.254.169.254/',
    'http://169。254。169。254/',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::169.254.169.254]/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://metadata.example/',
    'http://mixed.example/',
    'file:///etc/passwd',
    'not a url',
  ])('never to %s, even when typed', async (url) => {
    const { egress } = egressWith({
      'metadata.example': ['169.254.169.254'],
      'mixed.example': ['93.184.216.34', '169.254.169.254'],
    });
    expect(await failure(egress(url, typed))).toBe('not_sent egress_refused');
  });

  it('to a loopback server when typed, by address, by name or by the unspecified address', async () => {
    const port = await serve((_request, response) => response.end('hello'));
    const { egress } = egressWith({ 'inside.example': ['127.0.0.1'] });
    for (const host of ['127.0.0.1', 'inside.example', '0.0.0.0', '2130706433']) {
      expect(await (await egress(`http://${host}:${port}/`, typed)).text()).toBe('hello');
    }
  });

  it.each([
    ['http://127.0.0.1:9/', 'an address'],
    ['http://[::1]:9/', 'an IPv6 address'],
    ['http://[::ffff:127.0.0.1]:9/', 'a mapped address'],
    ['http://0.0.0.0:9/', 'the unspecified address'],
    ['http://10.0.0.1/', 'a private address'],
    ['https://inside.example/', 'a name that resolves inside'],
    ['https://half.example/', 'a name of which one address is inside'],
  ])('not to %s, %s that a public server named', async (url) => {
    const { egress } = egressWith({
      'outside.example': ['93.184.216.34'],
      'inside.example': ['10.0.0.1'],
      'half.example': ['93.184.216.34', '10.0.0.1'],
    });
    expect(await failure(egress(url, discovered('https://outside.example/mcp')))).toBe('not_sent egress_refused');
  });

  it('to a private address that a server named which is inside itself', async () => {
    const port = await serve((_request, response) => response.end('hello'));
    const { egress } = egressWith({ 'mcp.internal': ['10.0.0.7'], 'idp.internal': ['127.0.0.1'] });
    const response = await egress(`http://idp.internal:${port}/`, discovered('https://mcp.internal/mcp'));
    expect(await response.text()).toBe('hello');
  });

  it('not inside on the word of a name that has a public address, too', async () => {
    const { egress } = egressWith({ 'both.example': ['10.0.0.7', '93.184.216.34'] });
    expect(await failure(egress('http://127.0.0.1:9/', discovered('https://both.example/')))).toBe(
      'not_sent egress_refused',
    );
  });

  it('not to a public address without TLS, unless somebody typed that origin', async () => {
    const { egress } = egressWith({ 'plain.example': ['93.184.216.34'], 'mcp.internal': ['10.0.0.7'] });
    expect(await failure(egress('http://plain.example/token', discovered('https://mcp.internal/')))).toBe(
      'not_sent egress_refused',
    );
  });

  it('takes the origin that was typed as typed, for another path of it', async () => {
    const port = await serve((request, response) => response.end(request.url));
    const { egress } = egressWith();
    const url = `http://127.0.0.1:${port}`;
    expect(await (await egress(`${url}/b`, discovered(`${url}/a`))).text()).toBe('/b');
  });

  it('does not lend a connection opened for a typed URL to a discovered one', async () => {
    const port = await serve((_request, response) => response.end('hello'));
    const { egress } = egressWith({ 'inside.example': ['127.0.0.1'], 'outside.example': ['93.184.216.34'] });
    const url = `http://inside.example:${port}/`;
    await (await egress(url, typed)).text();
    expect(await failure(egress(url, discovered('https://outside.example/')))).toBe('not_sent egress_refused');
  });
});

describe('the address of a connection', () => {
  it('is the one that was checked: the name is resolved once for each connection', async () => {
    const sockets = new Set<unknown>();
    const port = await serve((request, response) => {
      sockets.add(request.socket);
      response.end('hello');
    });
    const { egress, asked } = egressWith({ 'inside.example': ['127.0.0.1'] });
    for (let index = 0; index < 5; index++) await (await egress(`http://inside.example:${port}/`, typed)).text();
    expect(asked.length).toBe(sockets.size);
    expect(asked.length).toBeLessThan(5);
  });

  it('is resolved anew for each request that wants a connection of its own', async () => {
    const sockets = new Set<unknown>();
    const port = await serve((request, response) => {
      sockets.add(request.socket);
      response.end('hello');
    });
    const { egress, asked } = egressWith({ 'inside.example': ['127.0.0.1'] });
    for (let index = 0; index < 2; index++) {
      await (await egress(`http://inside.example:${port}/`, { ...typed, connection: 'fresh' })).text();
    }
    expect([asked.length, sockets.size]).toEqual([2, 2]);
  });

  it('falls back to the next address of a name when the first refuses', async () => {
    const port = await serve((_request, response) => response.end('hello'));
    const { egress } = egressWith({ 'two.example': ['::1', '127.0.0.1'] });
    expect(await (await egress(`http://two.example:${port}/`, typed)).text()).toBe('hello');
  });
});

describe('redirects (lesson 35)', () => {
  it('come back as they are, and their target is never asked', async () => {
    const asked: (string | undefined)[] = [];
    const port = await serve((request, response) => {
      asked.push(request.url);
      response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/a`, typed);
    expect([response.status, response.headers.get('location')]).toEqual([302, 'http://169.254.169.254/']);
    expect(asked).toEqual(['/a']);
  });

  it('are refused on request', async () => {
    const port = await serve((_request, response) => response.writeHead(307, { location: '/b' }).end());
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/a`, { ...typed, redirect: 'error' }))).toBe(
      'perhaps_sent egress_refused',
    );
  });
});

describe('how far a broken request got', () => {
  it('is nowhere when the name does not resolve', async () => {
    const { egress } = egressWith();
    expect(await failure(egress('https://nowhere.example/', typed))).toBe('not_sent dns');
  });

  it('is nowhere when nobody listens', async () => {
    const port = await serve(() => undefined);
    await closing.pop()?.();
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/`, { ...typed, method: 'POST', body: 'x' }))).toBe(
      'not_sent connect',
    );
  });

  it('is nowhere when the other side does not speak TLS', async () => {
    const port = await serve(() => undefined);
    const { egress } = egressWith();
    expect(await failure(egress(`https://127.0.0.1:${port}/`, { ...typed, method: 'POST', body: 'x' }))).toBe(
      'not_sent tls',
    );
  });

  it('is nowhere when the other side hangs up during the TLS handshake', async () => {
    const port = await listen(net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    const { egress } = egressWith();
    expect(await failure(egress(`https://127.0.0.1:${port}/`, { ...typed, method: 'POST', body: 'x' }))).toBe(
      'not_sent tls',
    );
  });

  it('is nowhere when no connection comes about in time', async () => {
    // A TLS handshake that never ends: accepted by the kernel, answered by nobody.
    const port = await listen(net.createServer(() => undefined));
    const { egress } = egressWith({}, 50);
    expect(await failure(egress(`https://127.0.0.1:${port}/`, typed))).toBe('not_sent timeout');
  });

  it('is nowhere when the caller stops while the connection is being opened', async () => {
    const stop = new AbortController();
    const port = await listen(net.createServer((socket) => socket.once('data', () => stop.abort())));
    const { egress } = egressWith();
    expect(await failure(egress(`https://127.0.0.1:${port}/`, { ...typed, signal: stop.signal }))).toBe(
      'not_sent aborted',
    );
  });

  it('is unknown when the connection is reset after the request', async () => {
    const port = await listen(net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/`, { ...typed, method: 'POST', body: 'x' }))).toBe(
      'perhaps_sent reset',
    );
  });

  it('is unknown when a pooled connection is reset, and nothing is sent twice', async () => {
    let requests = 0;
    const port = await serve((request, response) => {
      requests += 1;
      if (requests === 1) response.end('hello');
      else request.socket.resetAndDestroy();
    });
    const { egress } = egressWith();
    const url = `http://127.0.0.1:${port}/`;
    await (await egress(url, typed)).text();
    expect(await failure(egress(url, { ...typed, method: 'POST', body: 'x' }))).toBe('perhaps_sent reset');
    expect(requests).toBe(2);
  });

  it('is unknown when no answer comes in time', async () => {
    const late = new AbortController();
    const port = await serve(() => late.abort(new DOMException('late', 'TimeoutError')));
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/`, { ...typed, signal: late.signal }))).toBe(
      'perhaps_sent timeout',
    );
  });

  it('is unknown when the caller stops after the request', async () => {
    const stop = new AbortController();
    const port = await serve(() => stop.abort());
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/`, { ...typed, signal: stop.signal }))).toBe(
      'perhaps_sent aborted',
    );
  });

  it('is told by the body, too, when that breaks off', async () => {
    const port = await serve((request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('abc', () => request.socket.destroy());
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect(await failure(response.text())).toBe('perhaps_sent reset');
  });
});

describe('a response', () => {
  it('is the standard one, and streams', async () => {
    let finish: () => void = () => undefined;
    const port = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'set-cookie': ['a=1', 'b=2'] });
      response.write('data: 1\n\n');
      finish = () => response.end('data: 2\n\n');
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, { ...typed, signal: systemClock.timeout(60_000) });
    expect(response).toBeInstanceOf(Response);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    const reader = response.body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('data: 1\n\n');
    finish();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('data: 2\n\n');
    expect((await reader.read()).done).toBe(true);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['GZIP, br', (bytes: Buffer) => brotliCompressSync(gzipSync(bytes))],
  ])('is decoded where the server encoded it (%s), and only where it did', async (encoding, encode) => {
    const plain = Buffer.from('a text of some length, said again and again. '.repeat(2_000));
    const port = await serve((_request, response) => {
      response.writeHead(200, { 'content-encoding': encoding }).end(encode(plain));
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect(Buffer.from(await response.arrayBuffer()).equals(plain)).toBe(true);
  });

  it('is handed on as it was encoded where that is wanted', async () => {
    const encoded = gzipSync('a text');
    const port = await serve((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(encoded);
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, { ...typed, encoding: 'kept' });
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(Buffer.from(await response.arrayBuffer()).equals(encoded)).toBe(true);
  });

  it('that is not what its encoding says breaks like a connection', async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('this was never compressed');
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect(await failure(response.text())).toBe('perhaps_sent reset');
  });

  it('of a short body that breaks off still gives what had arrived', async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('the first part', () => response.destroy());
    });
    const { egress } = egressWith();
    const reader = (await egress(`http://127.0.0.1:${port}/`, typed)).body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('the first part');
    expect(await failure(reader?.read() ?? Promise.resolve())).toBe('perhaps_sent reset');
  });

  it.each(['declared', 'chunked'])('carries a large body whole, its length %s', async (length) => {
    const large = Buffer.alloc(5_000_000, 'large ');
    const port = await serve((_request, response) => {
      if (length === 'declared') response.setHeader('content-length', large.length);
      response.end(large);
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect(Buffer.from(await response.arrayBuffer()).equals(large)).toBe(true);
  });

  it.each([
    ['a status that is none', 'HTTP/1.1 999 Strange\r\nContent-Length: 2\r\n\r\n{}', 'perhaps_sent reset'],
    ['a status that is none, and a stream', 'HTTP/1.1 700 Strange\r\n\r\n{}', 'perhaps_sent reset'],
  ])('with %s breaks like a connection, and keeps nobody waiting', async (_name, raw, expected) => {
    const port = await listen(net.createServer((socket) => socket.once('data', () => socket.end(raw))));
    const { egress } = egressWith();
    expect(await failure(egress(`http://127.0.0.1:${port}/`, typed))).toBe(expected);
  });

  it.each([
    ['with its length', 'HTTP/1.1 200 成功\r\nContent-Length: 2\r\n\r\n{}'],
    ['as a stream', 'HTTP/1.1 200 成功\r\n\r\n{}'],
  ])('whose reason phrase no response may carry is read all the same, %s', async (_name, raw) => {
    const port = await listen(net.createServer((socket) => socket.once('data', () => socket.end(raw))));
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect([response.status, await response.text()]).toEqual([200, '{}']);
  });

  it('that ends with its connection is read to its end, and nothing stands still meanwhile', async () => {
    const port = await listen(
      net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\none');
          setImmediate(() => socket.end('two'));
        });
      }),
    );
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    expect(await response.text()).toBe('onetwo');
  });

  it('without a body has none', async () => {
    const port = await serve((_request, response) => response.writeHead(204).end());
    const { egress } = egressWith();
    expect((await egress(`http://127.0.0.1:${port}/`, typed)).body).toBeNull();
  });

  it('tells the server when its reader stops', async () => {
    let gone: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => {
      gone = resolve;
    });
    const port = await serve((_request, response) => {
      response.on('close', gone);
      response.write('x');
    });
    const { egress } = egressWith();
    const response = await egress(`http://127.0.0.1:${port}/`, typed);
    await response.body?.cancel();
    await closed;
  });

  it('carries a request body given as a stream', async () => {
    const port = await serve((request, response) => void request.pipe(response));
    const { egress } = egressWith();
    const body = new Blob(['streamed']).stream() as ReadableStream<Uint8Array>;
    const response = await egress(`http://127.0.0.1:${port}/`, { ...typed, method: 'POST', body });
    expect(await response.text()).toBe('streamed');
  });
});
