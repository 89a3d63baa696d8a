import type { ServerResponse } from 'node:http';
import { constants, createBrotliCompress, createDeflate, createGzip, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { callTool, invoke, openApi, startApi, type TestApi } from './api-context.ts';

let api: TestApi;
afterEach(() => api?.close());

const serve = async (answer: (response: ServerResponse, url: string) => void) => {
  api = await startApi(({ url }, response) => answer(response, url));
  return api.origin;
};
const read = { method: 'GET', path: '/a' };

/** Sends for as long as anybody listens. */
function endlessly(response: ServerResponse, headers: Record<string, string>, chunk: Buffer): void {
  response.writeHead(200, headers);
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

describe('an answer that is too large', () => {
  it('is cut at the limit of the connection, and says so', async () => {
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ a: 'é'.repeat(5_000) }));
    });
    const answer = await invoke(openApi({ base_url: origin, max_response_bytes: 2_048 }), read);
    expect(answer).toMatchObject({
      status: 200,
      body_truncated: true,
      hint: expect.stringContaining('cut at the limit'),
    });
    // Whole characters, and not one more byte than permitted.
    expect(answer.body).toMatch(/^\{"a":"é+$/);
    expect(Buffer.byteLength(String(answer.body))).toBeLessThanOrEqual(2_048);
  });

  it('without an end ends for the upstream, too', async () => {
    const origin = await serve((response) =>
      endlessly(response, { 'content-type': 'text/plain' }, Buffer.alloc(65_536, 'x')),
    );
    const answer = await invoke(openApi({ base_url: origin, max_response_bytes: 100_000 }), read);
    expect(answer.body).toHaveLength(100_000);
    await vi.waitFor(() => expect(api.broken()).toBe(1));
  });

  it.each([
    ['gzip', () => createGzip({ level: 1 })],
    ['deflate', () => createDeflate({ level: 1 })],
    ['br', () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ])('unfolds no further than the limit (%s)', async (encoding, compressor) => {
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': encoding });
      const bomb = compressor();
      bomb.pipe(response);
      const zeros = Buffer.alloc(1_048_576);
      const more = () => {
        while (!response.destroyed && bomb.write(zeros));
      };
      bomb.on('drain', more);
      more();
    });
    const answer = await invoke(openApi({ base_url: origin, max_response_bytes: 50_000 }), read);
    expect(answer).toMatchObject({ status: 200, body_truncated: true });
    expect(answer.body).toHaveLength(50_000);
    await vi.waitFor(() => expect(api.broken()).toBe(1));
  });

  it('does not fill the memory when a hundred come at once (lesson 38)', async () => {
    // A gigabyte each, unfolded; the compressed form of one mebibyte over and over.
    const piece = gzipSync(Buffer.alloc(1_048_576, 'x'));
    const origin = await serve((response) =>
      endlessly(response, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }, piece),
    );
    const memory_bytes = 64 * 1_048_576;
    const opened = openApi({ base_url: origin, max_response_bytes: 8 * 1_048_576 }, {}, { memory_bytes });
    const calls = await Promise.allSettled(Array.from({ length: 100 }, () => invoke(opened, read)));
    const cut = calls.filter((call) => call.status === 'fulfilled');
    const refused = calls.filter((call) => call.status === 'rejected');
    for (const call of cut) expect(call.value).toMatchObject({ status: 200, body_truncated: true });
    for (const call of refused) expect(call.reason).toMatchObject({ code: 'overloaded', status: 503, retry_after: 2 });
    expect(cut.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    await vi.waitFor(() => expect(api.broken()).toBe(100));
    // Nothing of the budget is lost: the next one is served.
    expect(await invoke(opened, read)).toMatchObject({ status: 200, body_truncated: true });
  }, 60_000);

  it('of JSON that unfolds into millions of objects is refused before it is parsed', async () => {
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(`[${'[],'.repeat(500_000)}[]]`);
    });
    const opened = openApi({ base_url: origin }, {}, { memory_bytes: 16 * 1_048_576 });
    await expect(invoke(opened, read)).rejects.toMatchObject({ code: 'overloaded' });
  });
});

describe('an answer that does not end', () => {
  it('is shown as far as it came in time', async () => {
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    expect(await invoke(openApi({ base_url: origin }), { ...read, timeout_seconds: 0.3 })).toMatchObject({
      status: 200,
      body: 'data: 1\n\n',
      body_truncated: true,
      hint: expect.stringContaining('did not end within 0.3 s'),
    });
  });

  it('because the connection broke says that', async () => {
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"a":1');
      setImmediate(() => response.destroy());
    });
    expect(await invoke(openApi({ base_url: origin }), read)).toMatchObject({
      status: 200,
      body: '{"a":1',
      body_truncated: true,
      hint: expect.stringContaining('broke'),
    });
  });

  it('drop by drop is over in time', async () => {
    let timer: NodeJS.Timeout | undefined;
    const origin = await serve((response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      timer = setInterval(() => response.write('.'), 5);
    });
    const answer = await invoke(openApi({ base_url: origin, call_timeout: '200ms' }), read).finally(() =>
      clearInterval(timer),
    );
    expect(answer).toMatchObject({ status: 200, body: expect.stringMatching(/^\.+$/), body_truncated: true });
  });
});

describe('an answer that is no text', () => {
  const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 1]);

  it('is attached as a resource when it is small', async () => {
    const origin = await serve((response) => response.writeHead(200, { 'content-type': 'image/png' }).end(png));
    const { answer, result } = await callTool(openApi({ base_url: origin }), 'api_read_endpoint', {
      path: '/p.png?x=1',
    });
    expect(answer).toMatchObject({
      status: 200,
      body: null,
      body_truncated: false,
      hint: expect.stringContaining('attached'),
    });
    const resource = { uri: `${origin}/p.png`, mimeType: 'image/png', blob: png.toString('base64') };
    expect(result.content).toContainEqual({ type: 'resource', resource });
  });

  it.each([
    ['image/png', { 'content-length': '9000000' }],
    ['application/zip', {}],
  ])('is refused before it is read when it is large (%s %j)', async (type, headers) => {
    const origin = await serve((response) =>
      endlessly(response, { 'content-type': type, ...headers }, Buffer.alloc(65_536)),
    );
    expect(await invoke(openApi({ base_url: origin }), read)).toMatchObject({
      status: 200,
      body: null,
      body_truncated: true,
      hint: expect.stringContaining('/api/v1/gateway/shop/'),
    });
    await vi.waitFor(() => expect(api.broken()).toBe(1));
  });

  it('is recognised where no type is given', async () => {
    const origin = await serve((response, url) => {
      response.removeHeader('content-type');
      response.writeHead(200).end(url === '/text' ? 'just text' : png);
    });
    const opened = openApi({ base_url: origin });
    expect(await invoke(opened, { path: '/text' })).toMatchObject({ body: 'just text' });
    expect(await invoke(opened, { path: '/png' })).toMatchObject({
      body: null,
      hint: expect.stringContaining('attached'),
    });
  });
});

describe('an answer by its type', () => {
  it.each([
    ['application/problem+json', '{"a":1}', { a: 1 }],
    ['application/json; charset=utf-8', '[1]', [1]],
    ['application/json', 'not json', 'not json'],
    ['application/json', '', null],
    ['text/html', '<p>', '<p>'],
    ['application/xml', '<a/>', '<a/>'],
    ['text/csv', 'a,b', 'a,b'],
  ])('%s %j is shown as %j', async (type, sent, shown) => {
    const origin = await serve((response) => response.writeHead(200, { 'content-type': type }).end(sent));
    expect((await invoke(openApi({ base_url: origin }), read)).body).toEqual(shown);
  });

  it.each([
    ['{"id":12345678901234567890,"n":-9007199254740993}', { id: '12345678901234567890', n: '-9007199254740993' }],
    ['[9007199254740991, 1234567890123456, 0.12345678901234567, 1.2345678901234567e-3]', null],
    [
      String.raw`["\\",9007199254740993,"a \" 12345678901234567890"]`,
      ['\\', '9007199254740993', 'a " 12345678901234567890'],
    ],
    ['12345678901234567890', '12345678901234567890'],
  ])('keeps each digit of %s', async (sent, shown) => {
    const origin = await serve((response) => response.writeHead(200, { 'content-type': 'application/json' }).end(sent));
    const answer = await invoke(openApi({ base_url: origin }), read);
    expect(answer.body).toEqual(shown ?? JSON.parse(sent));
    const hint = expect.stringContaining('beyond 2^53');
    expect(answer.hint).toEqual(shown === null ? null : hint);
  });

  it('is decoded by its charset', async () => {
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'text/plain; charset=iso-8859-1' }).end(Buffer.from([0xe9])),
    );
    expect((await invoke(openApi({ base_url: origin }), read)).body).toBe('é');
  });

  it('is decoded by its byte order mark before all', async () => {
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from('\ufeff{"a":"é"}', 'utf16le')),
    );
    expect((await invoke(openApi({ base_url: origin }), read)).body).toEqual({ a: 'é' });
  });

  it.each([204, 304])('HTTP %i has none', async (status) => {
    const origin = await serve((response) => response.writeHead(status).end());
    expect(await invoke(openApi({ base_url: origin }), read)).toMatchObject({ status, body: null });
  });

  it('has none for HEAD, whatever its length says', async () => {
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '4000000000' }).end(),
    );
    const answer = await invoke(openApi({ base_url: origin }), { method: 'HEAD', path: '/a' });
    expect(answer).toMatchObject({ status: 200, body: null, headers: { 'content-length': '4000000000' } });
  });
});
