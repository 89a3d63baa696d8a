import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { EgressError } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { fetchPort } from '../mcp/gateway.ts';
import { callTool, invoke, json, openApi, startApi, type TestApi } from './api-context.ts';

let api: TestApi;
afterEach(() => api?.close());

const serve = async (answer: Parameters<typeof startApi>[0] = (_, response) => json(response, { ok: true })) => {
  api = await startApi(answer);
  return api.origin;
};
const last = () => api.requests.at(-1);

describe('a call by method and path', () => {
  it('is sent below the base URL with query, headers and body, and answered in the promised shape', async () => {
    const origin = await serve((_, response) =>
      json(response, { id: 7 }, 201, { etag: '"1"', 'x-ratelimit-remaining': '9', 'x-internal': 'no', server: 'no' }),
    );
    const answer = await invoke(openApi({ base_url: `${origin}/v1/` }), {
      method: 'post',
      path: '/items/a%20b',
      query_params: { tag: ['x', 'y'], limit: 5, empty: null, q: 'a&b=c' },
      headers: { 'X-Trace': 'abc' },
      body: { name: 'ü' },
    });
    expect(last()).toMatchObject({
      method: 'POST',
      url: '/v1/items/a%20b?tag=x&tag=y&limit=5&q=a%26b%3Dc',
      body: '{"name":"ü"}',
    });
    expect(last()?.headers).toMatchObject({ 'x-trace': 'abc', 'content-type': 'application/json' });
    expect(answer).toEqual({
      status: 201,
      headers: expect.objectContaining({
        etag: '"1"',
        'x-ratelimit-remaining': '9',
        'content-type': 'application/json',
      }),
      body: { id: 7 },
      body_truncated: false,
      pagination: { has_more: false, next_cursor: null, next_url: null, source: null },
      hint: null,
      duration_ms: expect.any(Number),
      error: null,
    });
    expect(Object.keys(answer.headers)).not.toEqual(expect.arrayContaining(['x-internal']));
    expect(answer.headers).not.toHaveProperty('server');
  });

  it.each([
    ['{"a":1}', undefined, '{"a":1}', 'application/json'],
    ['plain', undefined, 'plain', 'text/plain; charset=utf-8'],
    ['<a/>', 'application/xml', '<a/>', 'application/xml'],
    [
      { a: 'x y', b: [1, 2] },
      'application/x-www-form-urlencoded',
      'a=x+y&b=1&b=2',
      'application/x-www-form-urlencoded',
    ],
    [{ base64: 'aGk=' }, 'application/octet-stream', 'hi', 'application/octet-stream'],
    [[1], 'application/vnd.x+json', '[1]', 'application/vnd.x+json'],
  ])('writes the body %j as %s', async (body, content_type, sent, type) => {
    const origin = await serve();
    const args = { method: 'POST', path: '/', body, ...(content_type ? { content_type } : {}) };
    expect(await invoke(openApi({ base_url: origin }), args)).toMatchObject({ status: 200 });
    expect(last()).toMatchObject({ body: sent });
    expect(last()?.headers['content-type']).toBe(type);
  });

  it.each([
    [{ path: '/a', headers: { Authorization: 'Bearer mine' } }, 'headers.Authorization'],
    [{ path: '/a', headers: { 'x-api-key': 'mine' } }, 'headers.x-api-key'],
    [{ path: '/a', headers: { 'X-TEAM': 'red' } }, 'headers.X-TEAM'],
    [{ path: '/a', headers: { Host: 'evil' } }, 'headers.Host'],
    [{ path: '/a', headers: { Cookie: 'a=b' } }, 'headers.Cookie'],
    [{ path: '/a', headers: { 'Transfer-Encoding': 'chunked' } }, 'headers.Transfer-Encoding'],
    [{ path: '/a', headers: { 'X-HTTP-Method-Override': 'DELETE' } }, 'headers.X-HTTP-Method-Override'],
    [{ path: '/a', headers: { 'X-Forwarded-For': '1.1.1.1' } }, 'headers.X-Forwarded-For'],
    [{ path: '/a', headers: { 'bad name': 'x' } }, 'headers.bad name'],
    [{ path: '/a', headers: { 'X-A': 'x\r\nHost: evil' } }, 'headers.X-A'],
    [{ path: '/../a' }, 'path must not contain'],
    [{ path: 'https://evil.example/' }, 'path must begin'],
    [{ path: '/a', body: 'x' }, 'body must be left out'],
    [{ path: '/a', path_params: { a: 1 } }, 'path_params'],
    [{ path: '/a', method: 'TRACE' }, 'method'],
    [{ path: '/a', querry: 'x' }, 'querry is not a known field; known are method, operation_id, path,'],
    [{ path: '/a', query_params: [1] }, 'query_params must be an object of names and values'],
    [{ path: '/a', query_params: { id: [1, 2 ** 60] } }, 'query_params.id[1] is beyond 2^53'],
    [{ path: '/a', method: 'POST', body: { a: { id: 2 ** 53 } } }, 'body.a.id is beyond 2^53'],
    [{ path: '/a', method: 'POST', body: 'x', content_type: 'text/csv\r\nX: y' }, 'content_type must be one line'],
    [{ path: '/a', method: 'POST', body: 'x', content_type: 'text/…' }, 'content_type must be one line'],
    [{ path: '/a', headers: { 'X-A': ['x'] } }, 'headers.X-A must be a text'],
    [
      { path: '/a', method: 'POST', content_type: 'application/zip', body: { base64: '!!' } },
      'body must be a text, or bytes as',
    ],
    [{ path: '/a', timeout_seconds: -1 }, 'timeout_seconds'],
    [{}, 'path is needed'],
    [{ operation_id: 'x' }, 'operation_id'],
  ])('is refused before anything is sent: %j', async (args, named) => {
    const origin = await serve();
    const config = { auth_mode: 'api_key', credential: 'k', static_headers: { 'X-Team': 'blue' } };
    const { answer, result } = await callTool(openApi({ base_url: origin, ...config }), 'api_invoke_endpoint', args);
    expect(result.isError).toBe(true);
    expect(answer).toMatchObject({ status: null, error: expect.stringContaining(named) });
    expect(api.requests).toEqual([]);
  });

  it('may not set the parameter that carries the key, and keeps the rest of the query as written', async () => {
    const origin = await serve();
    const config = { auth_mode: 'api_key', credential: 'k 1', api_key_placement: 'query', api_key_param: 'key' };
    const opened = openApi({ base_url: origin, ...config });
    expect(await invoke(opened, { path: '/a?key=mine' })).toMatchObject({ status: null });
    expect(await invoke(opened, { path: '/a', query_params: { key: 'mine' } })).toMatchObject({ status: null });
    await invoke(opened, { path: '/a?q=%20x', query_params: { b: 'c d' } });
    expect(last()?.url).toBe('/a?q=%20x&b=c%20d&key=k+1');
  });

  it('writes header parameters as described, lists and objects, too', async () => {
    const origin = await serve();
    const header = (name: string, schema: object, rest: object = {}) => ({ name, in: 'header', schema, ...rest });
    const parameters = [
      header('X-Ids', { type: 'array', items: { type: 'integer' } }, { required: true }),
      header('X-Filter', { type: 'object' }, { explode: true }),
    ];
    const paths = { '/a': { get: { operationId: 'a', parameters } } };
    const opened = openApi({ base_url: origin, openapi_spec: JSON.stringify({ openapi: '3.0.3', paths }) });
    const headers = { 'x-ids': [1, 2], 'X-Filter': { a: 1, b: 2 }, 'X-Other': 3 };
    expect(await invoke(opened, { operation_id: 'a', headers })).toMatchObject({ status: 200 });
    expect(last()?.headers).toMatchObject({ 'x-ids': '1,2', 'x-filter': 'a=1,b=2', 'x-other': '3' });
    const { error } = await invoke(opened, { operation_id: 'a', headers: { 'X-Ids': '1,2' } });
    expect(error).toContain('headers.X-Ids must be a list');
  });

  it('of the reading tool changes nothing', async () => {
    const origin = await serve();
    const opened = openApi({ base_url: origin });
    expect((await callTool(opened, 'api_read_endpoint', { path: '/a' })).answer).toMatchObject({ status: 200 });
    const post = await callTool(opened, 'api_read_endpoint', { path: '/a', method: 'POST' });
    expect(post.answer).toMatchObject({ status: null, error: expect.stringContaining('for api_invoke_endpoint') });
    expect(api.requests).toHaveLength(1);
  });

  it('takes objects that a model wrote as text', async () => {
    const origin = await serve();
    await invoke(openApi({ base_url: origin }), { path: '/a', query_params: '{"q":"x"}' });
    expect(last()?.url).toBe('/a?q=x');
  });
});

describe('what the API answers', () => {
  it.each([400, 403, 404, 409, 422, 500, 503])('with HTTP %i is a result', async (status) => {
    const origin = await serve((_, response) => json(response, { why: 'because' }, status));
    const { answer, result } = await callTool(openApi({ base_url: origin }), 'api_invoke_endpoint', { path: '/a' });
    expect(answer).toMatchObject({ status, body: { why: 'because' }, error: expect.stringContaining(String(status)) });
    expect(result).not.toHaveProperty('isError');
    expect(result.content).toEqual([{ type: 'text', text: JSON.stringify(answer) }]);
  });

  it('as a limit of rate is told with its Retry-After', async () => {
    const origin = await serve((_, response) => json(response, {}, 429, { 'retry-after': '17' }));
    expect(await invoke(openApi({ base_url: origin }), { path: '/a' })).toMatchObject({
      status: 429,
      headers: { 'retry-after': '17' },
      hint: expect.stringContaining('after 17 seconds'),
    });
    expect(api.requests).toHaveLength(1);
  });

  it.each([
    ['/v1/b?x=1', 'call with path /b?x=1'],
    ['https://evil.example/', 'away from this API'],
    ['/v2/b', 'away from this API'],
  ])('as a redirect to %s is not followed', async (location, hint) => {
    const origin = await serve((_, response) => response.writeHead(302, { location }).end());
    const opened = openApi({ base_url: `${origin}/v1`, auth_mode: 'bearer', credential: 'secret' });
    expect(await invoke(opened, { path: '/a' })).toMatchObject({
      status: 302,
      headers: { location },
      hint: expect.stringContaining(hint),
    });
    expect(api.requests).toHaveLength(1);
  });

  it('as a redirect is told how to follow it without the key, however short that is', async () => {
    const origin = await serve((_, response) => response.writeHead(302, { location: '/a?key=k1&b=2' }).end());
    const config = { auth_mode: 'api_key', credential: 'k1', api_key_placement: 'query', api_key_param: 'key' };
    const { hint, headers } = await invoke(openApi({ base_url: origin, ...config }), { path: '/' });
    expect(hint).toContain('call with path /a?b=2.');
    expect(headers.location).toBe('/a?b=2');
  });

  it('never shows the credential, even where the API echoes it', async () => {
    const secret = 'a-credential-of-some-length';
    const origin = await serve(({ headers, url }, response) =>
      json(response, { headers, url, next: `/a?key=${secret}&page=2` }, 200, {
        link: `</a?key=${secret}&p=2>; rel=next`,
      }),
    );
    const bearer = openApi({ base_url: origin, auth_mode: 'bearer', credential: secret });
    const { result } = await callTool(bearer, 'api_invoke_endpoint', { path: '/a' });
    expect(JSON.stringify(result)).not.toContain(secret);
    expect(result.structuredContent).toMatchObject({ body: { headers: { authorization: 'Bearer [REDACTED]' } } });
    const query = { auth_mode: 'api_key', credential: secret, api_key_placement: 'query', api_key_param: 'key' };
    const { answer, result: shown } = await callTool(openApi({ base_url: origin, ...query }), 'api_read_endpoint', {
      path: '/a',
    });
    expect(JSON.stringify(shown)).not.toContain(secret);
    expect(answer.pagination).toMatchObject({ next_url: `${origin}/a?p=2`, source: 'link_header' });
    const token = new Secret('an-access-token-of-some-length');
    const oauth = openApi({ base_url: origin, auth_mode: 'oauth' }, { accessToken: async () => token });
    expect(JSON.stringify((await callTool(oauth, 'api_read_endpoint', { path: '/a' })).result)).not.toContain(
      token.reveal(),
    );
  });

  it.each([
    [{}, { link: '<https://x.example/?p=2>; rel="prev", </items?p=3>; rel="next"' }, { source: 'link_header' }],
    [{ '@odata.nextLink': '/items?$skip=2' }, {}, { source: '@odata.nextLink', next_url: 'URL/items?$skip=2' }],
    [{ next_cursor: 'abc' }, {}, { source: 'next_cursor', next_cursor: 'abc', next_url: null }],
    [{ nextCursor: 'abc' }, {}, { source: 'nextCursor', next_cursor: 'abc' }],
    [{ next_page_token: 'abc' }, {}, { source: 'next_page_token' }],
    [{ nextPageToken: 'abc' }, {}, { source: 'nextPageToken' }],
    [{ next: 3 }, {}, { source: 'next', next_cursor: '3' }],
    [{ next: '/items?p=3' }, {}, { source: 'next', next_url: 'URL/items?p=3' }],
    [{ next_cursor: '', next: null }, {}, { has_more: false, source: null }],
    [{ next: 'javascript:alert(1)' }, {}, { source: 'next', next_cursor: 'javascript:alert(1)' }],
  ])('tells where the next page is: %j %j', async (body, headers, expected) => {
    const origin = await serve((_, response) => json(response, body, 200, headers as Record<string, string>));
    const { pagination } = await invoke(openApi({ base_url: origin }), { path: '/items' });
    const wanted = JSON.parse(JSON.stringify(expected).replaceAll('URL', origin)) as object;
    expect(pagination).toMatchObject({ has_more: true, ...wanted });
  });
});

describe('a refused credential', () => {
  it('is renewed once, and the call sent again with its body (lesson 14)', async () => {
    const origin = await serve(({ headers }, response) =>
      json(response, {}, headers.authorization === 'Bearer token-2' ? 200 : 401),
    );
    const accessToken = vi.fn(
      async ({ rejected }: { rejected?: Secret } = {}) => new Secret(rejected ? 'token-2' : 'token-1'),
    );
    const opened = openApi({ base_url: origin, auth_mode: 'oauth' }, { accessToken });
    expect(await invoke(opened, { method: 'POST', path: '/a', body: { x: 1 } })).toMatchObject({ status: 200 });
    expect(api.requests.map(({ body }) => body)).toEqual(['{"x":1}', '{"x":1}']);
  });

  it('is an error of the connection, told without what the API wrote (lesson 28)', async () => {
    const origin = await serve((_, response) => json(response, { secret: 'details' }, 401));
    let issued = 0;
    const accessToken = async () => new Secret(`token-${++issued}`);
    const call = invoke(openApi({ base_url: origin, auth_mode: 'oauth' }, { accessToken }), { path: '/a' });
    await expect(call).rejects.toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('api/shop') });
    await expect(call).rejects.not.toMatchObject({ message: expect.stringContaining('details') });
    expect(api.requests).toHaveLength(2);
  });

  it('that only a person can mend is passed on', async () => {
    const origin = await serve();
    const accessToken = async () => {
      throw new AppError('needs_person', 'Connect it again.');
    };
    const call = invoke(openApi({ base_url: origin, auth_mode: 'oauth' }, { accessToken }), { path: '/a' });
    await expect(call).rejects.toMatchObject({ code: 'needs_person' });
  });
});

describe('an API that cannot be reached', () => {
  const failing = (phase: 'not_sent' | 'perhaps_sent', reason: EgressError['reason'], times: number) => {
    let left = times;
    return vi.fn(async (...args: Parameters<typeof fetchPort>) => {
      left -= 1;
      if (left >= 0) throw new EgressError(phase, reason, 'broken');
      return fetchPort(...args);
    });
  };
  it.each([
    ['GET', 'not_sent', 'connect', 2, undefined],
    ['HEAD', 'not_sent', 'dns', 2, undefined],
    ['OPTIONS', 'not_sent', 'connect', 1, 'upstream_unreachable'],
    ['POST', 'not_sent', 'connect', 1, 'upstream_unreachable'],
    ['GET', 'perhaps_sent', 'reset', 1, 'upstream_unreachable'],
    ['GET', 'not_sent', 'tls', 1, 'upstream_unreachable'],
    ['GET', 'not_sent', 'egress_refused', 1, 'egress_refused'],
  ] as const)(
    'is asked again for a %s that was %s (%s): %i times in all',
    async (method, phase, reason, times, code) => {
      const origin = await serve();
      const fetch = failing(phase, reason, 1);
      const call = invoke(openApi({ base_url: origin }, { fetch }), { method, path: '/a' });
      if (code) await expect(call).rejects.toMatchObject({ code });
      else await expect(call).resolves.toMatchObject({ status: 200 });
      expect(fetch).toHaveBeenCalledTimes(times);
    },
  );

  it('says whether the call may have been carried out', async () => {
    const origin = await serve();
    const post = { method: 'POST', path: '/a' };
    const reset = invoke(openApi({ base_url: origin }, { fetch: failing('perhaps_sent', 'reset', 9) }), post);
    await expect(reset).rejects.toMatchObject({ message: expect.stringContaining('may have been carried out') });
    const refused = invoke(openApi({ base_url: 'http://127.0.0.1:1' }), post);
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('Nothing was sent') });
  });

  it('in the time of the call is told as such, within the limit of the connection', async () => {
    const origin = await serve(() => undefined);
    const opened = openApi({ base_url: origin, call_timeout: '1s' });
    await expect(invoke(opened, { path: '/a', timeout_seconds: 0.05 })).rejects.toMatchObject({ code: 'timeout' });
    const get = invoke(opened, { path: '/a', timeout_seconds: 600 });
    await expect(get).rejects.toMatchObject({ code: 'timeout', retry_after: 5 });
    const post = invoke(opened, { method: 'POST', path: '/a', timeout_seconds: 0.05 });
    await expect(post).rejects.toMatchObject({ code: 'timeout', retry_after: undefined });
  });

  it('is left when the caller leaves', async () => {
    const origin = await serve(() => undefined);
    const leave = new AbortController();
    const call = callTool(openApi({ base_url: origin }), 'api_read_endpoint', { path: '/a' }, leave.signal);
    await vi.waitFor(() => expect(api.requests).toHaveLength(1));
    leave.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    await vi.waitFor(() => expect(api.broken()).toBe(1));
  });
});
