import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform, until } from '../support/platform.ts';
import { callEcho } from './tools.ts';

const METHOD = 'private_key_jwt';
const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

describe('a client that signs, at a real identity provider', () => {
  let demo: DemoParts;
  let platform: TestPlatform;
  const { privateKey, publicKey } = keyPair();
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 8 });
    platform = await TestPlatform.start();
  });
  afterAll(async () => {
    await platform?.remove();
    await demo?.stop();
  });

  async function register(more: Record<string, unknown>): Promise<Record<string, unknown>> {
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k-1', use: 'sig', alg: 'ES256' }] };
    const answer = await fetch(`${demo.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        ...{ token_endpoint_auth_method: METHOD, token_endpoint_auth_signing_alg: 'ES256', jwks },
        ...more,
      }),
    });
    const { client_id } = (await answer.json()) as { client_id: string };
    return {
      endpoint: demo.upstreamUrl,
      auth_mode: 'oauth',
      oauth2_client_id: client_id,
      oauth2_client_private_key_pem: pem,
      oauth2_client_key_id: 'k-1',
    };
  }

  it('connects by a person, refreshes, is tested, and revokes', async () => {
    const name = 'person';
    const params = { kind: 'mcp', name };
    const grant_types = ['authorization_code', 'refresh_token'];
    const config = await register({
      redirect_uris: [`${platform.url}${CALLBACK_PATH}`],
      grant_types,
      application_type: 'native',
    });
    await platform.explain(name, async () => {
      await platform.putConnection(name, config);
      await platform.connect(name, demo);
      await until(async () => {
        expect((await platform.history(name, 'refresh_succeeded')).length).toBeGreaterThanOrEqual(2);
      });
      await until(async () => expect(await callEcho(platform.mcpUrl, name, 'signed')).toContain('signed'));
      const tested = await platform.api.testConnection({ params });
      expect(tested).toMatchObject({ ok: true, details: { client_authentication: { configured: METHOD } } });
      const shown = await platform.api.getConnection({ params });
      expect(shown.config).toMatchObject({ oauth2_client_private_key_pem: '[REDACTED]' });

      // A key that the provider does not know is a fault of the client: the grant is kept, and the right key heals it.
      const wrong = keyPair().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      await platform.putConnection(name, { ...config, oauth2_client_private_key_pem: wrong });
      await until(async () => {
        const [failed] = await platform.history(name, 'refresh_failed_misconfigured');
        expect(failed?.detail).toMatchObject({ idp_error_code: 'invalid_client' });
      });
      expect(await platform.status(name)).toMatchObject({ state: 'connected' });
      await platform.putConnection(name, config);
      await until(async () => expect(await platform.status(name)).toMatchObject({ health: 'ok' }));
      expect(await platform.api.disconnectOAuth({ params })).toMatchObject({ upstream: 'revoked' });
    });
  });

  it('gets tokens in its own name', async () => {
    const name = 'robot';
    const config = await register({ redirect_uris: [], response_types: [], grant_types: ['client_credentials'] });
    await platform.explain(name, async () => {
      await platform.putConnection(name, { ...config, oauth2_grant: 'client_credentials' });
      expect(await platform.status(name)).toMatchObject({ grant: 'client_credentials', state: 'connected' });
      await until(async () => expect(await callEcho(platform.mcpUrl, name, 'robot')).toContain('robot'));
    });
  });
});
