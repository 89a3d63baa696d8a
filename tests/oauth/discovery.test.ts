import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import type { AppError } from '../../src/core/errors.ts';
import { readBearerChallenge } from '../../src/oauth/challenge.ts';
import { resourceCovers } from '../../src/oauth/protected-resource.ts';
import { metadataUrls } from '../../src/oauth/server-metadata.ts';
import { startClient, startServer } from './servers.ts';

const PRM = '/.well-known/oauth-protected-resource';
const AS = '/.well-known/oauth-authorization-server';

describe('discovery of the authorization server', () => {
  let host: Awaited<ReturnType<typeof startServer>>;
  let client: ReturnType<typeof startClient>;
  /** Path → document; `challenge` is what the endpoint answers without a token. */
  let documents: Record<string, unknown>;
  let challenge: string | undefined;

  beforeAll(async () => {
    host = await startServer((request) => {
      const path = request.path;
      if (path === '/mcp') return { status: 401, ...(challenge ? { headers: { 'www-authenticate': challenge } } : {}) };
      if (path === '/register') return { status: 201, json: documents[path] };
      return documents[path] === undefined ? { status: 404 } : { json: documents[path] };
    });
    client = startClient();
  });
  beforeEach(() => {
    documents = {};
    challenge = undefined;
  });
  afterEach(() => void host.received.splice(0));
  afterAll(async () => {
    await client.close();
    await host.close();
  });

  const metadata = (issuer: string, fields: object = {}) => ({
    issuer,
    authorization_endpoint: `${host.origin}/authorize`,
    token_endpoint: `${host.origin}/token`,
    registration_endpoint: `${host.origin}/register`,
    code_challenge_methods_supported: ['S256'],
    ...fields,
  });
  const config = (fields: Partial<ConnectionConfig> = {}): ConnectionConfig => ({
    auth_mode: 'oauth',
    endpoint: `${host.origin}/mcp`,
    ...fields,
  });
  const discover = (fields: Partial<ConnectionConfig> = {}) => client.server.discover(config(fields));
  const failure = (fields: Partial<ConnectionConfig> = {}) =>
    discover(fields).then(
      () => 'did not fail',
      (error: AppError) => `${error.code}: ${error.message}`,
    );
  const paths = () => host.received.map((request) => request.path);

  it('takes nothing for a text that could not be stored', async () => {
    const scopes_supported = ['read', 'a\0b', 'x\ud800', '', 'write'];
    documents[`${AS}`] = metadata(host.origin, { scopes_supported, revocation_endpoint: `${host.origin}/re\0voke` });
    const found = await discover({ oauth2_issuer: host.origin });
    expect(found).toMatchObject({ scopes_supported: ['read', 'write'], revocation_endpoint: null });
    documents[`${AS}`] = metadata(host.origin, { token_endpoint: `${host.origin}/to\nken` });
    expect(await failure({ oauth2_issuer: host.origin })).toContain('lacks a usable token_endpoint');
  });

  it('needs no network when both URLs are typed', async () => {
    const found = await discover({
      oauth2_authorization_url: 'https://a/authorize',
      oauth2_token_url: 'https://a/token',
    });
    expect(found).toMatchObject({ token_endpoint: 'https://a/token', issuer: null, source: 'configured' });
    expect(paths()).toEqual([]);
  });

  it('lets typed URLs win and a typed issuer fill in the rest', async () => {
    documents[AS] = metadata(host.origin, { revocation_endpoint: `${host.origin}/revoke` });
    const typed = { oauth2_authorization_url: 'https://a/authorize', oauth2_token_url: 'https://a/token' };
    expect(await discover({ ...typed, oauth2_issuer: host.origin })).toMatchObject({
      authorization_endpoint: 'https://a/authorize',
      token_endpoint: 'https://a/token',
      revocation_endpoint: `${host.origin}/revoke`,
    });
  });

  it('follows the challenge to the resource metadata and on to the server', async () => {
    challenge = `Bearer error="invalid_token", scope="mcp:read", resource_metadata="${host.origin}/prm"`;
    documents['/prm'] = {
      resource: `${host.origin}/mcp`,
      authorization_servers: [`${host.origin}/tenant`],
      scopes_supported: ['a', 'b'],
    };
    documents[`${AS}/tenant`] = metadata(`${host.origin}/tenant`, {
      authorization_response_iss_parameter_supported: true,
    });
    expect(await discover()).toMatchObject({
      issuer: `${host.origin}/tenant`,
      challenge_scope: 'mcp:read',
      resource: `${host.origin}/mcp`,
      resource_scopes_supported: ['a', 'b'],
      authorization_response_iss_parameter_supported: true,
    });
    expect(paths()).toEqual(['/mcp', '/prm', `${AS}/tenant`]);
  });

  it('looks for the metadata at the path, then at the root, and for OpenID in both forms', async () => {
    documents[PRM] = { resource: host.origin, authorization_servers: [`${host.origin}/t`] };
    documents['/t/.well-known/openid-configuration'] = metadata(`${host.origin}/t`);
    expect((await discover()).issuer).toBe(`${host.origin}/t`);
    expect(paths()).toEqual([
      '/mcp',
      `${PRM}/mcp`,
      PRM,
      `${AS}/t`,
      '/.well-known/openid-configuration/t',
      '/t/.well-known/openid-configuration',
    ]);
  });

  it('takes the origin of the upstream as issuer when it has no resource metadata', async () => {
    documents[AS] = metadata(`${host.origin}/`);
    expect((await discover()).token_endpoint).toBe(`${host.origin}/token`);
  });

  it('refuses metadata of another resource', async () => {
    documents[PRM] = { resource: 'https://other.example/mcp', authorization_servers: [host.origin] };
    expect(await failure()).toContain('discovery_failed: The resource metadata at 127.0.0.1');
  });

  it('refuses an issuer that names itself otherwise, and says what to type', async () => {
    documents[AS] = metadata('https://evil.example');
    expect(await failure({ oauth2_issuer: host.origin })).toMatch(/names "https:\/\/evil\.example".*set oauth2_issuer/);
  });

  it.each([
    [['plain'], undefined, false],
    [['plain'], 'mine', false],
    [undefined, undefined, false],
    [undefined, 'mine', true],
  ])('with code challenge methods %j and client id %s goes on: %s', async (methods, oauth2_client_id, goesOn) => {
    documents[AS] = metadata(host.origin, { code_challenge_methods_supported: methods });
    const answer = await failure({ oauth2_issuer: host.origin, ...(oauth2_client_id ? { oauth2_client_id } : {}) });
    expect(answer === 'did not fail').toBe(goesOn);
    if (!goesOn) expect(answer).toContain('PKCE');
  });

  it('names the place and the remedy when nothing is found', async () => {
    const message = await failure();
    expect(message).toContain(new URL(host.origin).host);
    expect(message).toContain('oauth2_token_url');
  });

  it('never asks a metadata address that a challenge names (lesson 49)', async () => {
    challenge = 'Bearer resource_metadata="http://169.254.169.254/latest"';
    expect(await failure()).toContain('never reached');
  });

  it('registers with the first method that the server lists, and honours what it granted', async () => {
    documents[AS] = metadata(host.origin, { token_endpoint_auth_methods_supported: ['none', 'client_secret_post'] });
    documents['/register'] = { client_id: 'new', client_secret: 's', client_secret_expires_at: 0 };
    const found = await discover();
    const request = { redirect_uri: 'http://127.0.0.1:1/cb', scope: 'a', trust: `${host.origin}/mcp` };
    const registered = await client.server.register(found, request);
    expect(JSON.parse(host.received.at(-1)?.body ?? '')).toEqual({
      client_name: 'Test platform',
      redirect_uris: ['http://127.0.0.1:1/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'native',
      token_endpoint_auth_method: 'client_secret_post',
      scope: 'a',
    });
    expect(registered).toMatchObject({
      client_id: 'new',
      token_endpoint_auth_method: 'client_secret_post',
      client_secret_expires_at: null,
    });
    documents['/register'] = { client_id: 'public' };
    expect((await client.server.register(found, request)).token_endpoint_auth_method).toBe('none');
    documents['/register'] = {};
    await expect(client.server.register(found, request)).rejects.toMatchObject({ code: 'registration_failed' });
  });
});

describe('the parts of discovery', () => {
  it.each([
    ['Bearer resource_metadata="https://x/a", scope="a b"', 'https://x/a', 'a b'],
    ['Basic realm="x", Bearer realm="y", resource_metadata=https://x/a', 'https://x/a', null],
    ['bearer scope="a \\"b\\""', null, 'a "b"'],
    ['Basic resource_metadata="https://x/a"', null, null],
    ['Bearer', null, null],
    [null, null, null],
  ])('%s is read', (header, resource_metadata, scope) => {
    expect(readBearerChallenge(header)).toEqual({ resource_metadata, scope });
  });

  it.each([
    ['https://x', 'https://x/mcp', true],
    ['https://x/mcp', 'https://x/mcp', true],
    ['https://x/mcp/', 'https://x/mcp', true],
    ['https://x/mc', 'https://x/mcp', false],
    ['https://x/mcp/sub', 'https://x/mcp', false],
    ['http://x/mcp', 'https://x/mcp', false],
    ['https://y/mcp', 'https://x/mcp', false],
  ])('%s covers %s: %s', (resource, endpoint, covered) => {
    expect(resourceCovers(resource, endpoint)).toBe(covered);
  });

  it('asks a bare issuer in two places and one with a path in three', () => {
    expect(metadataUrls('https://x/')).toEqual([`https://x${AS}`, 'https://x/.well-known/openid-configuration']);
    expect(metadataUrls('https://x/t')).toHaveLength(3);
  });
});
