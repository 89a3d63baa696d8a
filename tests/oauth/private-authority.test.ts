import { afterAll, beforeAll, expect, it } from 'vitest';
import { mcpConfigSchema } from '../../src/core/connection.ts';
import { Secret } from '../../src/core/redact.ts';
import { createAuthority } from '../support/certificates.ts';
import { bindingTo, startClient, startServer } from './servers.ts';

const authority = createAuthority('Authority of the company', Date.now());
let idp: Awaited<ReturnType<typeof startServer>>;
let client: ReturnType<typeof startClient>;

beforeAll(async () => {
  idp = await startServer(({ path }, _response, origin) => {
    if (path.startsWith('/.well-known/')) {
      const at = { authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token` };
      return { json: { issuer: origin, ...at, code_challenge_methods_supported: ['S256'] } };
    }
    return { json: path === '/register' ? { client_id: 'registered' } : { access_token: 'at' } };
  }, authority.issue('localhost'));
  client = startClient();
});
afterAll(async () => {
  await client.close();
  await idp.close();
});

it('a private authority of the configuration is trusted by every request to the identity provider', async () => {
  const tls_ca_bundle_pem = authority.cert;
  const config = (more = {}) =>
    mcpConfigSchema.parse({ endpoint: 'https://mcp.example/', auth_mode: 'oauth', oauth2_issuer: idp.origin, ...more });
  const { server } = client;
  await expect(server.discover(config())).rejects.toMatchObject({ code: 'discovery_failed' });
  const metadata = await server.discover(config({ tls_ca_bundle_pem }));
  expect(metadata.token_endpoint).toBe(`${idp.origin}/token`);

  const request = { redirect_uri: 'http://127.0.0.1/callback', scope: null, trust: idp.origin };
  const registering = { ...metadata, registration_endpoint: `${idp.origin}/register` };
  await expect(server.register(registering, request)).rejects.toMatchObject({ code: 'registration_failed' });
  const registered = await server.register(registering, { ...request, tls_ca_bundle_pem });
  expect(registered.client_id).toBe('registered');

  const how = { listen_ms: 30_000, origin_of_trust: idp.origin };
  const token = new Secret('t');
  const trusting = { binding: bindingTo(idp.origin, { tls_ca_bundle_pem }), client_secret: null };
  const strict = { binding: bindingTo(idp.origin), client_secret: null };
  expect(await server.refresh(strict, { refresh_token: token, ...how })).toEqual({
    type: 'not_sent',
    error_class: 'tls',
  });
  expect((await server.refresh(trusting, { refresh_token: token, ...how })).type).toBe('answer');
  expect((await server.clientCredentials(trusting, how)).type).toBe('answer');
  const code = { code: 'c', redirect_uri: request.redirect_uri, code_verifier: token, ...how };
  expect((await server.exchangeCode(trusting, code)).type).toBe('answer');
  const revoking = { token, token_type_hint: 'refresh_token', origin_of_trust: idp.origin } as const;
  expect(await server.revoke(trusting, revoking)).toEqual({ type: 'revoked' });
  expect(await server.revoke(strict, revoking)).toMatchObject({ type: 'failed', error_class: 'tls' });
});
