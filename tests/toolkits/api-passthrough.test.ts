import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { listen, stop } from '../mcp/gateway.ts';
import { openApi } from './api-context.ts';
import { aCall } from './mcp-context.ts';

type Handler = (incoming: IncomingMessage, response: ServerResponse) => void;

let close: () => Promise<void> = async () => undefined;
afterEach(() => close());

async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler);
  const port = await listen(server);
  close = () => stop(server);
  return `http://127.0.0.1:${port}`;
}

const send = (
  api: ToolkitConnection,
  path: string,
  init: RequestInit & { duplex?: 'half' } = {},
  signal = new AbortController().signal,
): Promise<Response> => {
  if (!api.handle) throw new Error('an API takes plain requests');
  return api.handle(new Request(`http://gateway.local${path}`, init), aCall({ signal }));
};

const everyHeader = (response: Response) => Object.fromEntries(response.headers);

describe('a plain request of a program', () => {
  it('reaches the API with its credential, and without what let it in here', async () => {
    let seen: IncomingMessage | undefined;
    const origin = await serve((incoming, response) => {
      seen = incoming;
      response.end('ok');
    });
    const api = openApi({ base_url: `${origin}/v1`, auth_mode: 'bearer', credential: 'theirs' });
    const response = await send(api, '/items/a%2Fb?q=%20x&y=1+2', {
      headers: {
        authorization: 'Bearer ours',
        'x-api-key': 'ours',
        cookie: 'session=ours',
        origin: 'https://portal.example',
        referer: 'https://portal.example/x',
        'x-forwarded-for': '10.0.0.1',
        'sec-fetch-mode': 'cors',
        connection: 'x-hop',
        'x-hop': 'no',
        'keep-alive': 'timeout=5',
        accept: 'text/csv',
        'user-agent': 'theirs/1.0',
        'x-trace': 'abc',
      },
    });
    expect(await response.text()).toBe('ok');
    expect(seen?.url).toBe('/v1/items/a%2Fb?q=%20x&y=1+2');
    expect(seen?.headers).toEqual({
      host: new URL(origin).host,
      connection: 'keep-alive',
      authorization: 'Bearer theirs',
      accept: 'text/csv',
      'accept-encoding': 'identity',
      'user-agent': 'theirs/1.0',
      'x-trace': 'abc',
    });
  });

  it('gets the answer without what the API may not say in our name', async () => {
    const origin = await serve((_, response) => {
      response.writeHead(207, {
        'set-cookie': 'a=b',
        'access-control-allow-origin': '*',
        'strict-transport-security': 'max-age=1',
        'clear-site-data': '"*"',
        'www-authenticate': 'Basic',
        'x-hop': 'no',
        connection: 'close, x-hop',
        'x-kept': 'yes',
        etag: '"1"',
        'content-type': 'text/csv',
      });
      response.end('a,b');
    });
    const response = await send(openApi({ base_url: origin }), '/a');
    expect(response.status).toBe(207);
    expect(await response.text()).toBe('a,b');
    expect(Object.keys(everyHeader(response)).sort()).toEqual(['content-type', 'date', 'etag', 'x-kept']);
  });

  it('is told addresses below the base as its own, others as they are, none with the key', async () => {
    const origin = await serve((incoming, response) => {
      const [, location = ''] = decodeURIComponent(incoming.url ?? '').split('to=');
      response.writeHead(302, {
        location: location.split('&key=')[0],
        link: '<?p=2&key=k>; rel="next", </v2/x>; rel=up',
      });
      response.end();
    });
    const config = { auth_mode: 'api_key', credential: 'k', api_key_placement: 'query', api_key_param: 'key' };
    const api = openApi({ base_url: `${origin}/v1`, ...config });
    const to = async (location: string) => everyHeader(await send(api, `/items?to=${encodeURIComponent(location)}`));
    expect(await to('other?x=1')).toMatchObject({
      location: '/other?x=1',
      link: `</items?p=2>; rel="next", <${origin}/v2/x>; rel=up`,
    });
    expect(await to(`${origin}/v1/a`)).toMatchObject({ location: '/a' });
    expect(await to('https://evil.example/a')).toMatchObject({ location: 'https://evil.example/a' });
  });

  it.each(['/a/%2e%2e%2fb', '/a%2F..%2Fb', '/a//b', '/a%0d%0ab', '/a%5C..%5Cb', '/@evil.example', '/%252e%252e/b'])(
    'to %s is refused by the same rules as a tool’s',
    async (path) => {
      let asked = 0;
      const origin = await serve((_, response) => {
        asked += 1;
        response.end();
      });
      await expect(send(openApi({ base_url: `${origin}/v1` }), path)).rejects.toMatchObject({
        code: 'invalid_request',
      });
      expect(asked).toBe(0);
    },
  );

  it('streams both ways at once, without waiting for the end of either', async () => {
    const origin = await serve((incoming, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      response.flushHeaders();
      incoming.pipe(response);
    });
    let push: (text: string) => void = () => undefined;
    let end: () => void = () => undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        push = (text) => controller.enqueue(new TextEncoder().encode(text));
        end = () => controller.close();
      },
    });
    push('one');
    const response = await send(openApi({ base_url: origin }), '/echo', { method: 'POST', body, duplex: 'half' });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toBe('one');
    push('two');
    expect((await reader?.read())?.value).toBe('two');
    end();
    expect((await reader?.read())?.done).toBe(true);
  });

  it('carries a large body through, whole, and holds back a sender that is faster than its reader', async () => {
    const piece = randomBytes(1_048_576);
    const pieces = 64;
    let read = 0;
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const hash = createHash('sha256');
    const origin = await serve(async (incoming, response) => {
      await gate;
      for await (const chunk of incoming) hash.update(chunk as Buffer);
      response.end(hash.digest('hex'));
    });
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (read === pieces) return controller.close();
          read += 1;
          controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    );
    const headers = { 'content-length': String(pieces * piece.length) };
    const answered = send(openApi({ base_url: origin }), '/up', { method: 'PUT', body, duplex: 'half', headers });
    await vi.waitFor(() => expect(read).toBeGreaterThan(0));
    // What sockets hold, and not more: the reader has not begun.
    const held = await settled(() => read);
    expect(held).toBeLessThan(pieces / 2);
    go();
    const wanted = createHash('sha256');
    for (let index = 0; index < pieces; index += 1) wanted.update(piece);
    expect(await (await answered).text()).toBe(wanted.digest('hex'));
  });

  it('reads no more of an answer than its caller does', async () => {
    let written = 0;
    const origin = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) written += 1;
      };
      response.on('drain', more);
      more();
    });
    const response = await send(openApi({ base_url: origin }), '/endless');
    const reader = response.body?.getReader();
    await reader?.read();
    const held = await settled(() => written);
    expect(held * 65_536).toBeLessThan(32 * 1_048_576);
    await reader?.cancel();
  });

  it('hands a compressed answer on as it is', async () => {
    const text = 'x'.repeat(10_000);
    let asked: string | undefined;
    const origin = await serve((incoming, response) => {
      asked = incoming.headers['accept-encoding'];
      const zipped = gzipSync(text);
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': String(zipped.length) }).end(zipped);
    });
    const response = await send(openApi({ base_url: origin }), '/z', { headers: { 'accept-encoding': 'gzip, br' } });
    expect(asked).toBe('gzip, br');
    expect(everyHeader(response)).toMatchObject({ 'content-encoding': 'gzip' });
    expect(gunzipSync(Buffer.from(await response.arrayBuffer())).toString()).toBe(text);
  });

  it('by HEAD gets the headers of what it would have got', async () => {
    const origin = await serve((incoming, response) => {
      response.writeHead(200, { 'content-length': '12345', 'x-method': incoming.method }).end();
    });
    const response = await send(openApi({ base_url: origin }), '/a', { method: 'HEAD' });
    expect(everyHeader(response)).toMatchObject({ 'content-length': '12345', 'x-method': 'HEAD' });
    expect(response.body).toBeNull();
  });

  it('that has no content gets no length of it', async () => {
    const origin = await serve((_, response) => response.writeHead(204, { 'content-length': '11', 'x-a': 'b' }).end());
    const headers = everyHeader(await send(openApi({ base_url: origin }), '/a'));
    expect(headers).toMatchObject({ 'x-a': 'b' });
    expect(headers).not.toHaveProperty('content-length');
  });

  it.each(['OPTIONS', 'DELETE', 'PATCH', 'PROPFIND'])('by %s goes through', async (method) => {
    const origin = await serve((incoming, response) => response.writeHead(200, { 'x-method': incoming.method }).end());
    expect(everyHeader(await send(openApi({ base_url: origin }), '/a', { method }))).toMatchObject({
      'x-method': method,
    });
  });
});

/** A number once it has stopped growing: looked at until it is the same ten times in a row. */
async function settled(look: () => number): Promise<number> {
  let same = 0;
  let last = -1;
  await vi.waitFor(
    () => {
      const now = look();
      same = now === last ? same + 1 : 0;
      last = now;
      expect(same).toBeGreaterThan(10);
    },
    { interval: 20, timeout: 10_000 },
  );
  return last;
}

describe('a refused token of a plain request', () => {
  const withTokens = (origin: string) => {
    let token = 'token-1';
    const accessToken = vi.fn(async ({ rejected }: { rejected?: Secret } = {}) => {
      if (rejected) token = 'token-2';
      return new Secret(token);
    });
    return { api: openApi({ base_url: origin, auth_mode: 'oauth' }, { accessToken }), accessToken };
  };
  const strict: Handler = async (incoming, response) => {
    if (incoming.headers.authorization !== 'Bearer token-2') return void response.writeHead(401).end();
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    response.end(Buffer.concat(chunks));
  };
  const slowly = (bytes: number): ReadableStream<Uint8Array> => {
    let left = bytes;
    return new ReadableStream({
      pull(controller) {
        const size = Math.min(left, 16_384);
        left -= size;
        if (size === 0) return controller.close();
        controller.enqueue(new Uint8Array(size).fill(97));
      },
    });
  };

  it('is renewed, and the request sent again with its small body', async () => {
    const { api } = withTokens(await serve(strict));
    const response = await send(api, '/a', { method: 'POST', body: slowly(40_000), duplex: 'half' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('a'.repeat(40_000));
  });

  it('is renewed, but a large body is gone: that is said, with when to come again (lesson 28)', async () => {
    const { api, accessToken } = withTokens(
      await serve(async (incoming, response) => {
        for await (const _ of incoming);
        response.writeHead(401).end();
      }),
    );
    const sent = send(api, '/a', { method: 'POST', body: slowly(1_000_000), duplex: 'half' });
    await expect(sent).rejects.toMatchObject({ code: 'unavailable', status: 503, retry_after: 1 });
    expect(accessToken).toHaveBeenCalledTimes(2);
  });

  it('for good is never passed on as if the caller had to sign in (lesson 28)', async () => {
    const origin = await serve((_, response) => response.writeHead(401, { 'www-authenticate': 'Bearer' }).end());
    const { api } = withTokens(origin);
    await expect(send(api, '/a')).rejects.toMatchObject({ code: 'upstream_failed', status: 502 });
  });
});

describe('a plain request that is given up', () => {
  it('by its caller ends at the API, before and in the midst of the answer', async () => {
    let broken = 0;
    let begun = 0;
    const origin = await serve((incoming, response) => {
      begun += 1;
      response.on('close', () => {
        if (!response.writableFinished) broken += 1;
      });
      if (incoming.url === '/midst') response.write('begun');
    });
    const api = openApi({ base_url: origin });
    const before = new AbortController();
    const waiting = send(api, '/before', {}, before.signal);
    await vi.waitFor(() => expect(begun).toBe(1));
    before.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await vi.waitFor(() => expect(broken).toBe(1));
    const midst = new AbortController();
    const response = await send(api, '/midst', {}, midst.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    midst.abort(new Error('gone'));
    await expect(reader?.read()).rejects.toThrow();
    await vi.waitFor(() => expect(broken).toBe(2));
    const cancelled = await send(api, '/midst');
    await cancelled.body?.cancel();
    await vi.waitFor(() => expect(broken).toBe(3));
  });

  it('by a caller who dawdles with a small body is not sent at all, and says so', async () => {
    let asked = 0;
    const origin = await serve((_, response) => {
      asked += 1;
      response.end();
    });
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('half')),
    });
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-length': '8' },
    };
    await expect(send(openApi({ base_url: origin, call_timeout: '100ms' }), '/a', init)).rejects.toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'body', message: expect.stringContaining('in time') }],
    });
    expect(asked).toBe(0);
  });

  it('by the API breaks the answer off, so that nobody takes a part for the whole', async () => {
    const origin = await serve((_, response) => {
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    const response = await send(openApi({ base_url: origin }), '/a');
    await expect(response.text()).rejects.toThrow();
  });

  it('by an API that falls silent, unless it streams events', async () => {
    let later: () => void = () => undefined;
    const origin = await serve((incoming, response) => {
      const type = incoming.url === '/events' ? 'text/event-stream' : 'text/plain';
      if (incoming.url === '/never') return;
      response.writeHead(200, { 'content-type': type });
      response.write('begun');
      if (incoming.url === '/events') later = () => void response.end('later');
    });
    const api = openApi({ base_url: origin, call_timeout: '100ms' });
    // Silent for longer than both of the others, which begin after it and are ended for their silence.
    const events = await send(api, '/events');
    await expect(send(api, '/never')).rejects.toMatchObject({ code: 'timeout' });
    await expect((await send(api, '/silent')).text()).rejects.toMatchObject({ reason: 'timeout' });
    later();
    expect(await events.text()).toBe('begunlater');
  });
});
