import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { apiConfigSchema } from '../../src/core/api-config.ts';
import { zodIssues } from '../../src/core/connection.ts';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { callTool, openApi, type SeenRequest, startApi, type TestApi } from './api-context.ts';
import { aCall } from './mcp-context.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const describing = (...ids: string[]) => ({
  openapi: '3.0.3',
  info: { title: 'Things', version: '1' },
  paths: Object.fromEntries(ids.map((operationId) => [`/${operationId}`, { get: { operationId } }])),
});

type Served = (response: ServerResponse, request: SeenRequest) => void;
const text =
  (body: string | object, headers: Record<string, string> = {}): Served =>
  (response) =>
    response.writeHead(200, headers).end(typeof body === 'string' ? body : JSON.stringify(body));

/** An API whose description is what `serve` says at the moment. */
async function described(first: Served, config: Record<string, unknown> = {}, changed = {}, options = {}) {
  let serve = first;
  const server: TestApi = await startApi((request, response) => serve(response, request));
  const api = openApi(
    { base_url: server.origin, openapi_url: `${server.origin}/api.json`, ...config },
    changed,
    options,
  );
  open.push(server, api);
  return {
    api,
    server,
    change: (next: Served) => {
      serve = next;
    },
    /** The requests for the description. */
    fetched: () => server.requests.filter(({ url }) => url.startsWith('/api.json')),
  };
}

type Listed = { operations: { operation_id: string }[]; api: unknown; error: string | null };
async function listed(api: ToolkitConnection): Promise<{ ids: string[]; error: string | null }> {
  const { operations, error } = (await callTool(api, 'api_list_endpoints', {})).result.structuredContent as Listed;
  return { ids: operations.map(({ operation_id }) => operation_id), error };
}

/** As the catalog asks at its interval. */
const lookAgain = (api: ToolkitConnection) => api.request('tools/list', {}, aCall());
const tested = async (api: ToolkitConnection) => {
  const test = await api.test?.(new AbortController().signal);
  return { ok: test?.ok, message: test?.message ?? '' };
};
const KEPT = 'The last good one is still used.';

describe('where a description is fetched from', () => {
  const issuesOf = (config: object) => {
    const parsed = apiConfigSchema.safeParse({ base_url: 'https://api.example.com/v1', ...config });
    return parsed.success ? [] : zodIssues(parsed.error);
  };

  it.each(['https://api.example.com/openapi.yaml', 'https://API.example.com:443/docs/x.json?version=2'])(
    'is the origin of the API: %s',
    (openapi_url) => {
      expect(issuesOf({ openapi_url })).toEqual([]);
    },
  );

  it.each([
    'https://docs.example.com/openapi.yaml',
    'http://api.example.com/openapi.yaml',
    'https://api.example.com:8443/openapi.yaml',
    'https://api.example.com.evil.example/openapi.yaml',
  ])('is no other one, and the sentence says what to do: %s', (openapi_url) => {
    expect(issuesOf({ openapi_url })).toEqual([
      { path: 'openapi_url', message: expect.stringMatching(/must have the origin of base_url.*openapi_spec/) },
    ]);
  });

  it('is not both in the configuration and at an address', () => {
    const both = { openapi_url: 'https://api.example.com/openapi.yaml', openapi_spec: '{}' };
    expect(issuesOf(both)).toMatchObject([{ path: 'openapi_url', message: expect.stringContaining('only one') }]);
  });

  it('is asked with the credential, and no redirect leads the credential anywhere (lesson 35)', async () => {
    const elsewhere = await startApi((_, response) => response.end(JSON.stringify(describing('stolen'))));
    open.push(elsewhere);
    const config = { auth_mode: 'bearer', credential: 'the token of this API' };
    const { api, fetched } = await described(
      (response) => response.writeHead(302, { location: `${elsewhere.origin}/api.json` }).end(),
      config,
    );
    expect(await listed(api)).toEqual({
      ids: [],
      error: expect.stringContaining('HTTP 302, a redirect, which is not followed'),
    });
    expect(fetched().map(({ headers }) => headers.authorization)).toEqual(['Bearer the token of this API']);
    expect(elsewhere.requests).toEqual([]);
  });

  it('is asked again with a renewed token', async () => {
    const accessToken = async ({ rejected }: { rejected?: Secret } = {}) => new Secret(rejected ? 'fresh' : 'stale');
    const { api } = await described(
      (response, { headers }) =>
        headers.authorization === 'Bearer fresh'
          ? response.end(JSON.stringify(describing('one')))
          : response.writeHead(401).end(),
      { auth_mode: 'oauth' },
      { accessToken },
    );
    expect(await listed(api)).toEqual({ ids: ['one'], error: null });
  });
});

describe('a description that is fetched', () => {
  it.each([
    ['JSON', JSON.stringify(describing('one', 'two')), 'application/json'],
    ['YAML', stringify(describing('one', 'two')), 'application/yaml'],
    ['YAML under another name', stringify(describing('one', 'two')), 'text/plain'],
    ['JSON behind a byte order mark', `\uFEFF${JSON.stringify(describing('one', 'two'))}`, 'text/html'],
  ])('is read as %s', async (_, body, type) => {
    const { api } = await described(text(body, { 'content-type': type }));
    expect(await listed(api)).toEqual({ ids: ['one', 'two'], error: null });
  });

  it('is fetched once for callers who come together, and not for whoever calls by path', async () => {
    const { api, fetched } = await described(text(describing('one')));
    await Promise.all([listed(api), listed(api), listed(api)]);
    await callTool(api, 'api_read_endpoint', { path: '/one' });
    expect(fetched()).toHaveLength(1);
  });

  it('is asked for with the tag that it had, and read again when it has changed', async () => {
    const { api, change, fetched } = await described(text(describing('one'), { etag: '"1"' }));
    expect(await listed(api)).toEqual({ ids: ['one'], error: null });
    change((response) => response.writeHead(304).end());
    await lookAgain(api);
    await vi.waitFor(() => expect(fetched()).toHaveLength(2));
    expect((await tested(api)).ok).toBe(true);
    change(text(describing('one', 'two'), { etag: '"2"' }));
    await lookAgain(api);
    await vi.waitFor(async () => expect(await listed(api)).toEqual({ ids: ['one', 'two'], error: null }));
    change((response) => response.writeHead(304).end());
    expect((await tested(api)).ok).toBe(true);
    expect(fetched().map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"1"', '"1"', '"2"']);
  });

  it('that was not there at first is there when it can be fetched', async () => {
    const { api, change } = await described((response) => response.writeHead(503).end());
    expect(await listed(api)).toEqual({ ids: [], error: expect.stringContaining('HTTP 503') });
    change(text(describing('one')));
    expect((await tested(api)).message).toContain('1 operation');
    expect(await listed(api)).toEqual({ ids: ['one'], error: null });
  });

  const failing: Record<string, [served: Served, told: string | RegExp]> = {
    'an error': [(response) => response.writeHead(500).end(), 'HTTP 500'],
    'a page': [text('<html>sign in</html>', { 'content-type': 'text/html' }), 'not an object'],
    'half of it': [text(JSON.stringify(describing('one')).slice(0, -20)), 'begins as JSON and is not'],
    'another format': [text({ asyncapi: '2.0.0' }), 'another format'],
    'bytes of anything': [
      text(String.fromCharCode(...Array.from({ length: 999 }, (_, at) => at % 32))),
      'cannot be read',
    ],
    'a list': [text('[1, 2]'), 'not an object'],
    nothing: [text(''), 'not an object'],
    'a connection that breaks': [
      (response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"openapi":', () => response.destroy());
      },
      'the connection broke',
    ],
    'a body in drops, without end': [
      (response) => {
        const drops = setInterval(() => response.write(' '), 5);
        response.on('close', () => clearInterval(drops));
      },
      'did not answer in time',
    ],
    'nothing at all': [() => undefined, 'did not answer in time'],
  };

  it.each(Object.keys(failing))('keeps the last good one when it becomes %s, and says so', async (what) => {
    const [served, told] = failing[what] as [Served, string];
    const { api, change } = await described(text(describing('one'), { etag: '"1"' }), { call_timeout: '300ms' });
    expect(await listed(api)).toEqual({ ids: ['one'], error: null });
    change((response, request) => (request.url === '/api.json' ? served(response, request) : response.end()));
    const { ok, message } = await tested(api);
    expect({ ok, message }).toEqual({ ok: false, message: expect.stringContaining(told) });
    expect(message).toContain(KEPT);
    expect(message).not.toMatch(/sign in|inside the server/);
    const after = await listed(api);
    expect(after.ids).toEqual(['one']);
    expect(message).toContain(after.error);
    change(text(describing('one', 'two')));
    expect((await tested(api)).ok).toBe(true);
    expect(await listed(api)).toEqual({ ids: ['one', 'two'], error: null });
  });

  it('that unfolds beyond 32 MiB is left, compressed or not', async () => {
    const bomb = gzipSync(Buffer.alloc(40_000_000, ' '));
    const { api, change } = await described((response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    );
    expect((await listed(api)).error).toContain('larger than 32 MiB');
    let written = 0;
    change((response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, ' '))) written += 65_536;
      };
      response.on('drain', more);
      more();
    });
    expect((await tested(api)).message).toContain('larger than 32 MiB');
    expect(written).toBeLessThan(64 * 1_048_576);
  });

  it('counts against the memory of all answers', async () => {
    const { api } = await described(text(`${' '.repeat(100_000)}{}`), {}, {}, { memory_bytes: 65_536 });
    expect((await listed(api)).error).toContain('Too many large answers at once');
  });
});
