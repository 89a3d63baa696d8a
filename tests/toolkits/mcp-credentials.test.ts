import { createServer } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/redact.ts';
import { listen, stop } from '../mcp/gateway.ts';
import { type RawReply, type RawRequest, type RawUpstream, startRaw } from '../mcp/upstreams.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const OK: RawReply = { result: { content: [] } };

describe('the credential of a connection', () => {
  let upstream: RawUpstream;
  afterEach(() => upstream.close());
  const serve = async (answer: (request: RawRequest) => RawReply = () => OK) => {
    upstream = await startRaw(answer);
    return upstream.url;
  };
  const call = async (config: Record<string, unknown>, changed = {}) => {
    const opened = openUpstream({ endpoint: upstream.url, ...config }, changed);
    try {
      return await opened.request('tools/call', { name: 't' }, aCall());
    } finally {
      await opened.close();
    }
  };

  it.each([
    ['none', {}, 'authorization', undefined],
    ['bearer', { credential: 'b-1' }, 'authorization', 'Bearer b-1'],
    ['api_key', { credential: 'k-1' }, 'x-api-key', 'k-1'],
    ['api_key', { credential: 'k-1', api_key_header: 'X-Other' }, 'x-other', 'k-1'],
    ['basic', { username: 'ü', password: 'p:1' }, 'authorization', `Basic ${Buffer.from('ü:p:1').toString('base64')}`],
    ['oauth', {}, 'authorization', 'Bearer token-1'],
    ['none', { static_headers: { 'X-Team': 'blue' } }, 'x-team', 'blue'],
  ])('of auth_mode %s %j is in every request', async (auth_mode, config, header, value) => {
    await serve();
    await call({ auth_mode, ...config });
    expect(upstream.requests.map(({ headers }) => headers[header])).toEqual(upstream.requests.map(() => value));
    expect(upstream.requests.length).toBeGreaterThan(1);
  });

  it('of auth_mode api_key may be a query parameter', async () => {
    await serve();
    await call({ auth_mode: 'api_key', credential: 'k 1', api_key_placement: 'query', api_key_param: 'key' });
    expect(upstream.requests.map(({ url }) => url)).toEqual(upstream.requests.map(() => '/mcp?key=k+1'));
  });

  it('asks for a new access token once when the upstream refuses the present one (lesson 14)', async () => {
    await serve(({ headers }) => (headers.authorization === 'Bearer token-2' ? OK : { status: 401 }));
    const accessToken = vi.fn(
      async ({ rejected }: { rejected?: Secret } = {}) =>
        new Secret(rejected?.reveal() === 'token-1' ? 'token-2' : 'token-1'),
    );
    await expect(call({ auth_mode: 'oauth' }, { accessToken })).resolves.toEqual({ content: [] });
    expect(upstream.requests.filter(({ method }) => method === 'tools/call')).toHaveLength(2);
  });

  it('tells truthfully that even a new token is refused, and asks only once', async () => {
    await serve(() => ({ status: 401, body: 'secret details' }));
    let issued = 0;
    const accessToken = async () => new Secret(`token-${++issued}`);
    const failure = call({ auth_mode: 'oauth' }, { accessToken });
    await expect(failure).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('oauth2_scope'),
    });
    await expect(failure).rejects.not.toMatchObject({ message: expect.stringContaining('secret details') });
    expect(upstream.requests.filter(({ method }) => method === 'tools/call')).toHaveLength(2);
  });

  it.each([
    ['oauth', {}, 'access token'],
    ['bearer', { credential: 'k€y' }, 'credential'],
    ['api_key', { credential: 'k\x01y' }, 'credential'],
    ['none', { static_headers: { 'X-Team': 'b\x7Fue' } }, 'static_headers.X-Team'],
  ])('of auth_mode %s that no header can carry is told by its name, and never quoted', async (mode, more, named) => {
    await serve();
    const accessToken = async () => new Secret('two\n    at lines');
    const failure = call({ auth_mode: mode, ...more }, { accessToken });
    await expect(failure).rejects.toMatchObject({ code: 'upstream_failed', message: expect.stringContaining(named) });
    await expect(failure).rejects.not.toMatchObject({ stack: expect.stringContaining('at lines') });
    expect(upstream.requests).toEqual([]);
  });

  it('passes on that only a person can help', async () => {
    await serve();
    const accessToken = async () => {
      throw new AppError('needs_person', 'Connect it again.');
    };
    await expect(call({ auth_mode: 'oauth' }, { accessToken })).rejects.toMatchObject({ code: 'needs_person' });
  });

  it('says which field to mend when the upstream refuses a configured credential', async () => {
    await serve(() => ({ status: 401 }));
    await expect(call({})).rejects.toMatchObject({ message: expect.stringContaining('auth_mode to oauth') });
    await expect(call({ auth_mode: 'bearer', credential: 'x' })).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('credential'),
    });
  });

  it('never follows a redirect to another origin with the credential (lesson 35)', async () => {
    const seen: string[] = [];
    const other = createServer((req, res) => {
      seen.push(String(req.headers.authorization));
      res.writeHead(200).end('{}');
    });
    const port = await listen(other);
    await serve(() => ({ status: 307, headers: { location: `http://127.0.0.1:${port}/mcp` } }));
    await expect(call({ auth_mode: 'bearer', credential: 'b-1' })).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(seen).toEqual([]);
    await stop(other);
  });

  it('tests as a person wants to know it', async () => {
    await serve(() => ({ result: { tools: [{ name: 'a', inputSchema: { type: 'object' } }] } }));
    const good = openUpstream({ endpoint: upstream.url });
    expect(await good.test(new AbortController().signal)).toEqual({
      ok: true,
      message: 'Connected to the upstream: it offers 1 tool and speaks MCP 2026-07-28 (modern era).',
      details: { server: null, protocol_version: '2026-07-28', era: 'modern', tools: 1 },
    });
    await good.close();
    const closed = openUpstream({ endpoint: 'http://127.0.0.1:1/mcp' });
    expect(await closed.test(new AbortController().signal)).toMatchObject({
      ok: false,
      message: expect.stringContaining('does not accept connections'),
      details: { code: 'upstream_unreachable' },
    });
  });
});
