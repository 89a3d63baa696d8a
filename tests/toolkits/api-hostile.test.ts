import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { callTool, invoke, json, openApi, startApi, type TestApi } from './api-context.ts';
import { aCall } from './mcp-context.ts';

let api: TestApi;
afterEach(() => api?.close());

const serve = async (answer: (response: ServerResponse, url: string, incoming: IncomingMessage) => void) => {
  api = await startApi(({ url }, response, incoming) => answer(response, url, incoming));
  return api.origin;
};
const read = { method: 'GET', path: '/a' };

describe('an answer made to do harm', () => {
  it('in more codings than anybody uses is not unfolded: each would cost a decoder', async () => {
    const origin = await serve((response) => {
      const codings = Array.from({ length: 1_000 }, () => 'gzip').join(',');
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': codings }).end(gzipSync('x'));
    });
    await expect(invoke(openApi({ base_url: origin }), read)).rejects.toMatchObject({ code: 'upstream_unreachable' });
  });

  it('nested beyond what can be written is shown as the text that it is', async () => {
    const nested = '['.repeat(60_000) + ']'.repeat(60_000);
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(nested),
    );
    expect((await invoke(openApi({ base_url: origin }), read)).body).toBe(nested);
  });
});

describe('the credential in an answer', () => {
  it('is left out as a number, too', async () => {
    const origin = await serve((response) => json(response, { account: 1234567890123456, more: [1234567890123456] }));
    const opened = openApi({ base_url: origin, static_headers: { 'X-Account': '1234567890123456' } });
    expect((await invoke(opened, read)).body).toEqual({ account: '[REDACTED]', more: ['[REDACTED]'] });
  });

  it('is left out as it is written in a query, in JSON and in a form', async () => {
    const credential = 'k"ey/with+sp ecial=signs';
    const forms = [
      credential,
      encodeURIComponent(credential),
      new URLSearchParams([['k', credential]]).toString().slice(2),
    ];
    const origin = await serve((response) => json(response, { forms, text: `${JSON.stringify({ credential })}` }));
    const opened = openApi({ base_url: origin, auth_mode: 'api_key', credential });
    const { result } = await callTool(opened, 'api_invoke_endpoint', read);
    const text = JSON.stringify(result);
    for (const form of [...forms, 'ey/with+sp ecial']) expect(text).not.toContain(form);
  });

  it.each([
    ['PHP', String.raw`{"k":"ab\/cd+ef==0123456789\u00e9"}`],
    ['Gson', String.raw`{"k":"ab/cd+ef\u003d\u003d0123456789é"}`],
    ['.NET', String.raw`{"k":"ab/cd\u002Bef==0123456789\u00E9"}`],
  ])('is left out of lines of JSON as %s writes them', async (_, line) => {
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).end(`${line}\n`),
    );
    const opened = openApi({ base_url: origin, auth_mode: 'basic', username: 'u', password: 'ab/cd+ef==0123456789é' });
    expect((await invoke(opened, read)).body).toBe('{"k":"[REDACTED]"}\n');
  });

  it('is left out of what comes as a file', async () => {
    const origin = await serve((response) =>
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end('\0é secret/key+of=thisé \0'),
    );
    const { result } = await callTool(
      openApi({ base_url: origin, static_headers: { 'X-Key': 'secret/key+of=this' } }),
      'api_invoke_endpoint',
      read,
    );
    const attached = (result.content as { resource?: { blob: string } }[])[1]?.resource?.blob ?? '';
    expect(Buffer.from(attached, 'base64').toString('utf8')).toBe('\0é [REDACTED]é \0');
  });

  it('is not confused with what a header says to everybody', async () => {
    const origin = await serve((response) => json(response, { type: 'application/json' }));
    const opened = openApi({ base_url: origin, static_headers: { Accept: 'application/json' } });
    expect(await invoke(opened, read)).toMatchObject({
      headers: { 'content-type': 'application/json' },
      body: { type: 'application/json' },
    });
  });

  it('is left out of the headers that a program gets, however they are written', async () => {
    const credential = 'secret/key+of=this';
    const origin = await serve((response, url) => {
      response
        .writeHead(302, {
          location: `/login?back=${encodeURIComponent(url)}`,
          'x-asked': url,
          'x-key': credential,
          link: `<https://else.example/?back=${encodeURIComponent(url)}>; rel="next"`,
        })
        .end();
    });
    const opened = openApi({
      base_url: origin,
      auth_mode: 'api_key',
      api_key_placement: 'query',
      api_key_param: 'key',
      credential,
    });
    const response = await opened.handle?.(new Request('http://gateway.local/a?b=%20c'), aCall());
    const told = decodeURIComponent(decodeURIComponent(JSON.stringify([...(response?.headers ?? [])])));
    expect(told).toContain('/login?back=');
    expect(told).not.toContain(credential);
  });

  it('does not change how an address is written that has none', async () => {
    const origin = await serve((response) =>
      response.writeHead(302, { location: 'https://files.example/a?sig=a%20b%2Fc&x' }).end(),
    );
    const opened = openApi({
      base_url: origin,
      auth_mode: 'api_key',
      api_key_placement: 'query',
      api_key_param: 'key',
      credential: 'k',
    });
    const response = await opened.handle?.(new Request('http://gateway.local/a'), aCall());
    expect(response?.headers.get('location')).toBe('https://files.example/a?sig=a%20b%2Fc&x');
  });
});

describe('a header of a caller', () => {
  it.each([
    'X_HTTP_Method_Override',
    'x_api_key',
    'X_Forwarded_For',
    'True-Client-IP',
    'CF-Connecting-IP',
    'X-Client-IP',
  ])('that many servers take for one of the platform’s is refused, too: %s', async (name) => {
    const origin = await serve((response) => json(response, {}));
    const opened = openApi({ base_url: origin, auth_mode: 'api_key', credential: 'the key of this API' });
    const answer = await invoke(opened, { ...read, headers: { [name]: 'DELETE' } });
    expect(answer).toMatchObject({ status: null, error: expect.stringContaining(name) });
    const headers = { [name]: 'DELETE' };
    await opened.handle?.(new Request('http://gateway.local/a', { headers }), aCall());
    expect(api.requests).toHaveLength(1);
    expect(api.requests[0]?.headers[name.toLowerCase()]).toBeUndefined();
  });
});

describe('a description', () => {
  it('that hangs does not hold calls by path', async () => {
    const origin = await serve((response, url) => {
      if (url !== '/openapi.json') json(response, { ok: true });
    });
    const opened = openApi({ base_url: origin, openapi_url: `${origin}/openapi.json` });
    expect(await invoke(opened, read)).toMatchObject({ status: 200, body: { ok: true } });
    await opened.close();
  });

  it('that broke is still told as broken when it has not changed since', async () => {
    let text = JSON.stringify({ openapi: '3.0.3', paths: { '/a': { get: {} } } });
    const origin = await serve((response, _url, incoming) => {
      const etag = `"${text.length}"`;
      if (incoming.headers['if-none-match'] === etag) response.writeHead(304).end();
      else response.writeHead(200, { etag }).end(text);
    });
    const opened = openApi({ base_url: origin, openapi_url: `${origin}/openapi.json` });
    const { signal } = new AbortController();
    expect(await opened.test?.(signal)).toMatchObject({ ok: true });
    text = '{"openapi": "3.0.3", ';
    expect(await opened.test?.(signal)).toMatchObject({ ok: false });
    expect(await opened.test?.(signal)).toMatchObject({ ok: false });
  });

  it('of more operations than any API has is cut, and says so', async () => {
    const paths = Object.fromEntries(Array.from({ length: 20_100 }, (_, index) => [`/${index}`, { get: {} }]));
    const opened = openApi({
      base_url: 'http://127.0.0.1:9',
      openapi_spec: JSON.stringify({ openapi: '3.0.3', paths }),
    });
    const { result } = await callTool(opened, 'api_list_endpoints', { limit: 1 });
    expect(result.structuredContent).toMatchObject({ total: 20_000 });
  });
});

describe('a large description in YAML', () => {
  const yaml = (more: string) => {
    const paths = Array.from(
      { length: 20_000 },
      (_, index) => `  /things/${index}:\n    get: {summary: Thing ${index}}\n`,
    );
    return `openapi: 3.0.3\npaths:\n${paths.join('')}${more}`;
  };

  it.each([
    ['is read', '', { ok: true, message: expect.stringContaining('20000 operations') }],
    [
      'that is none is told by its line',
      '\n\tfoo: [',
      { ok: false, message: expect.stringContaining('see line 4000') },
    ],
    [
      'that contains itself is refused',
      'x-a: &a [*a]\n',
      { ok: false, message: expect.stringContaining('repeats itself') },
    ],
  ])('%s while others are served', async (_what, more, expected) => {
    const origin = await serve((response) => json(response, {}));
    const opened = openApi({ base_url: origin, openapi_spec: yaml(more) });
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 5);
    const tested = await opened.test?.(new AbortController().signal).finally(() => clearInterval(ticking));
    expect(tested).toMatchObject(expected);
    // A thread reads it for a second or more; were it read here, hardly anything could happen meanwhile.
    expect(ticks).toBeGreaterThan(20);
  });
});
