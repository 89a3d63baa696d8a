import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { fetchOf } from '../../src/core/tls-material.ts';
import { fetchPort } from '../mcp/gateway.ts';
import { createAuthority } from '../support/certificates.ts';
import { callTool, json, openApi, type SeenRequest, startApi, type TestApi } from './api-context.ts';
import { aCall } from './mcp-context.ts';

const DESCRIPTION = { openapi: '3.0.3', info: { title: 'T' }, paths: { '/a': { get: { operationId: 'getA' } } } };

/** The ways in which a connection reaches its API, each once. */
const WAYS: Record<string, (api: ToolkitConnection) => Promise<unknown>> = {
  'a call by operation_id': async (api) =>
    (await callTool(api, 'api_read_endpoint', { operation_id: 'getA', query_params: {} })).answer.status,
  'a call by path': async (api) =>
    (await callTool(api, 'api_invoke_endpoint', { path: '/a', method: 'POST' })).answer.status,
  'a plain request': async (api) => (await api.handle?.(new Request('http://gateway.local/a'), aCall()))?.status,
  'the Test': async (api) => (await api.test?.(new AbortController().signal))?.ok,
};

const oauth = { auth_mode: 'oauth', oauth2_client_id: 'us', oauth2_client_secret: 'ours' };
const statics = { static_headers: { 'X-Team': 'red', 'X-Version': '2' } };
const MODES: [mode: string, config: Record<string, unknown>, sent: Record<string, string>, query: string][] = [
  ['none', {}, {}, ''],
  ['bearer', { auth_mode: 'bearer', credential: 't 1' }, { authorization: 'Bearer t 1' }, ''],
  ['basic', { auth_mode: 'basic', username: 'ü', password: 'a:b' }, { authorization: 'Basic w7w6YTpi' }, ''],
  ['api_key', { auth_mode: 'api_key', credential: 'k' }, { 'x-api-key': 'k' }, ''],
  [
    'api_key in a header of its own',
    { auth_mode: 'api_key', credential: 'k', api_key_placement: 'header', api_key_header: 'X-Store-Key' },
    { 'x-store-key': 'k' },
    '',
  ],
  [
    'api_key in the query',
    { auth_mode: 'api_key', credential: 'k&1', api_key_placement: 'query', api_key_param: 'key' },
    {},
    '?key=k%261',
  ],
  ['oauth by a person', { ...oauth, oauth2_grant: 'authorization_code' }, { authorization: 'Bearer token-1' }, ''],
  ['oauth in its own name', { ...oauth, oauth2_grant: 'client_credentials' }, { authorization: 'Bearer token-1' }, ''],
  ['none, with static headers', statics, { 'x-team': 'red', 'x-version': '2' }, ''],
  [
    'basic, with static headers',
    { ...statics, auth_mode: 'basic', username: 'u', password: 'p' },
    { 'x-team': 'red', 'x-version': '2', authorization: 'Basic dTpw' },
    '',
  ],
];
const CARRIERS = ['authorization', 'x-api-key', 'x-store-key', 'x-team', 'x-version', 'cookie'];
const carried = ({ headers }: SeenRequest) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => CARRIERS.includes(name)));

describe.each(MODES)('a connection whose auth_mode is %s', (_, config, sent, query) => {
  let server: TestApi;
  beforeAll(async () => {
    server = await startApi(({ url }, response) => json(response, url.startsWith('/api.json') ? DESCRIPTION : {}));
  });
  afterAll(() => server.close());

  it.each(Object.keys(WAYS))('sends that with every request of %s, and nothing else', async (way) => {
    const accessToken = async () => new Secret('token-1');
    const places = { base_url: server.origin, openapi_url: `${server.origin}/api.json` };
    const api = openApi({ ...places, ...config }, { accessToken });
    const before = server.requests.length;
    expect([200, true]).toContain(await WAYS[way]?.(api));
    await api.close();
    const seen = server.requests.slice(before);
    expect(seen.length).toBeGreaterThan(0);
    for (const request of seen) {
      expect([carried(request), new URL(request.url, server.origin).search]).toEqual([sent, query]);
    }
  });
});

describe('an API behind TLS', () => {
  const authority = createAuthority('Private', systemClock.now());
  const client = authority.issue('platform');
  const stranger = createAuthority('Other', systemClock.now()).issue('platform');
  const trusted = { tls_ca_bundle_pem: authority.cert };
  const known = { ...trusted, mtls_client_cert_pem: client.cert, mtls_client_key_pem: client.key };
  const servers: Server[] = [];
  let open: string;
  let closed: string;

  async function start(more: object): Promise<string> {
    const server = createServer({ ...authority.issue('localhost'), ...more }, (incoming, response) => {
      const peer = (incoming.socket as TLSSocket).getPeerCertificate();
      const of = peer.subject?.CN ?? null;
      response.writeHead(200, { 'content-type': 'application/json', 'x-peer': String(of) });
      response.end(JSON.stringify(incoming.url === '/api.json' ? DESCRIPTION : { of }));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  beforeAll(async () => {
    open = await start({});
    closed = await start({ ca: authority.cert, requestCert: true, rejectUnauthorized: true });
  });
  afterAll(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  /** As the platform hands it out: the toolkit itself knows nothing of certificates. */
  function connected(base_url: string, tls: Record<string, string>): ToolkitConnection {
    const config = { base_url, openapi_url: `${base_url}/api.json`, ...tls };
    return openApi(config, { fetch: fetchOf(fetchPort, config as unknown as ConnectionConfig) });
  }

  it.each([
    ['of a private authority is reached with its certificate', () => [open, trusted] as const, null],
    ['that wants to know us is reached with a certificate of ours', () => [closed, known] as const, 'platform'],
  ])('%s, whatever the way', async (_, where, of) => {
    const api = connected(...where());
    expect((await callTool(api, 'api_read_endpoint', { path: '/a' })).answer).toMatchObject({
      status: 200,
      body: { of },
    });
    const described = { operation_id: 'getA' };
    expect((await callTool(api, 'api_read_endpoint', described)).answer).toMatchObject({ status: 200, body: { of } });
    const plain = await api.handle?.(new Request('http://gateway.local/a', { method: 'POST', body: 'x' }), aCall());
    expect([plain?.status, await plain?.json()]).toEqual([200, { of }]);
    expect(await api.test?.(new AbortController().signal)).toMatchObject({
      ok: true,
      message: expect.stringContaining('1 operation'),
    });
    await api.close();
  });

  it.each<[string, () => readonly [string, Record<string, string>]]>([
    ['of a private authority, without its certificate', () => [open, {}]],
    ['of a private authority, with another one’s', () => [open, { tls_ca_bundle_pem: stranger.cert }]],
    ['that wants to know us, without a certificate', () => [closed, trusted]],
    [
      'that wants to know us, with one of another authority',
      () => [closed, { ...trusted, mtls_client_cert_pem: stranger.cert, mtls_client_key_pem: stranger.key }],
    ],
  ])('%s is not reached, and nothing was sent', async (_, where) => {
    const api = connected(...where());
    const failed = { code: 'upstream_unreachable', message: expect.stringContaining('api/shop') };
    await expect(callTool(api, 'api_read_endpoint', { path: '/a' })).rejects.toMatchObject(failed);
    await expect(api.handle?.(new Request('http://gateway.local/a'), aCall())).rejects.toMatchObject(failed);
    expect(await api.test?.(new AbortController().signal)).toMatchObject({ ok: false });
    await api.close();
  });
});
