import { describe, expect, it } from 'vitest';
import { mcpConfigSchema } from '../../src/core/connection.ts';
import type { ClientBinding } from '../../src/core/credential.ts';
import { Secret } from '../../src/core/redact.ts';
import { provingBy, revocationClient, tokenRequestClient, typedMethod } from '../../src/core/token-client.ts';

const binding: ClientBinding = {
  issuer: 'https://issuer.example',
  authorization_endpoint: 'https://issuer.example/authorize',
  token_endpoint: 'https://tokens.example/token',
  revocation_endpoint: null,
  client_id: 'ours',
  token_endpoint_auth_method: 'client_secret_basic',
  resource: null,
  scope: null,
  client_source: 'config',
};
const stored = new Secret('as-bound');

const configured = (fields: Record<string, unknown>) =>
  mcpConfigSchema.parse({ endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth', ...fields });

describe('the client of a token request', () => {
  it('takes a corrected path of the token endpoint, but not another server', () => {
    const at = (oauth2_token_url: string) =>
      tokenRequestClient(binding, configured({ oauth2_token_url }), stored).binding.token_endpoint;
    expect(at('https://tokens.example/v2/token')).toBe('https://tokens.example/v2/token');
    expect(at('https://elsewhere.example/token')).toBe('https://tokens.example/token');
  });

  it('takes a corrected secret for the very client that the tokens belong to', () => {
    const secretOf = (oauth2_client_id: string) =>
      tokenRequestClient(binding, configured({ oauth2_client_id, oauth2_client_secret: 'typed' }), stored);
    expect(secretOf('ours').client_secret?.equals(new Secret('typed'))).toBe(true);
    expect(secretOf('another').client_secret?.equals(stored)).toBe(true);
    expect(secretOf('another').binding.client_id).toBe('ours');
  });
});

describe('a client that signs', () => {
  const KEY = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----';
  const signing = { oauth2_client_id: 'ours', oauth2_client_private_key_pem: KEY };

  it('does so without being told where a key is all that it has, and where it is told to', () => {
    const secret = { oauth2_client_secret: 'typed' };
    const named = { oauth2_token_endpoint_auth_method: 'private_key_jwt' };
    expect(typedMethod(configured(signing), null)).toBe('private_key_jwt');
    expect(typedMethod(configured({ ...signing, ...secret }), null)).toBeUndefined();
    expect(typedMethod(configured({ ...signing, ...secret, ...named }), null)).toBe('private_key_jwt');
    expect(typedMethod(configured({ oauth2_client_id: 'ours', ...secret }), 'private_key_jwt')).toBe(
      'client_secret_basic',
    );
  });

  it('takes nothing stored for a proof of another sort: a private key is no secret to be sent', () => {
    const signed = { ...binding, token_endpoint_auth_method: 'private_key_jwt' } as const;
    const key = new Secret(KEY);
    const none = configured({ oauth2_client_id: 'ours' });
    expect(provingBy('client_secret_post', none, { binding: signed, client_secret: key }).client_secret).toBeNull();
    expect(provingBy('private_key_jwt', none, { binding: signed, client_secret: key }).client_secret).toBe(key);
    expect(provingBy('private_key_jwt', none, { binding, client_secret: stored }).client_secret).toBeNull();
  });

  it('heals by a corrected key, and by a change from secret to key', () => {
    const client = tokenRequestClient(binding, configured({ ...signing, oauth2_client_key_id: 'k-1' }), stored);
    expect(client.client_secret?.equals(new Secret(KEY))).toBe(true);
    expect(client.binding).toMatchObject({
      token_endpoint_auth_method: 'private_key_jwt',
      client_assertion: { key_id: 'k-1', audience: 'https://issuer.example' },
    });
    const back = tokenRequestClient(client.binding, configured({ ...signing, oauth2_client_secret: 's' }), stored);
    expect(back.binding.token_endpoint_auth_method).toBe('client_secret_basic');
    expect(back.binding.client_assertion).toBeUndefined();
  });

  it('names the token endpoint where there is no issuer, or the provider knows nothing else', () => {
    const audienceOf = (fields: Record<string, unknown>, bound: Partial<ClientBinding> = {}) => {
      const client = { binding: { ...binding, ...bound }, client_secret: null };
      return provingBy('private_key_jwt', configured({ ...signing, ...fields }), client).binding.client_assertion
        ?.audience;
    };
    expect(audienceOf({})).toBe('https://issuer.example');
    expect(audienceOf({}, { issuer: null })).toBe('https://tokens.example/token');
    expect(audienceOf({ provider: 'okta' })).toBe('https://tokens.example/token');
    expect(audienceOf({ oauth2_profile: { client_assertion_audience: 'token_endpoint' } })).toBe(
      'https://tokens.example/token',
    );
  });
});

describe('the authority that the server is traced to', () => {
  const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
  it('is the one of the consent, as long as no configuration says another', () => {
    const bound = { ...binding, tls_ca_bundle_pem: 'bound' };
    const authorityOf = (config: ReturnType<typeof configured> | null) =>
      tokenRequestClient(bound, config, stored).binding.tls_ca_bundle_pem;
    expect(authorityOf(null)).toBe('bound');
    expect(authorityOf(configured({ tls_ca_bundle_pem: CERTIFICATE }))).toBe(CERTIFICATE);
    expect(authorityOf(configured({}))).toBeUndefined();
  });
});

describe('the client of a revocation', () => {
  const endpointFor = (fields: Record<string, unknown>, bound: Partial<ClientBinding> = {}) =>
    revocationClient({ ...binding, ...bound }, configured(fields), stored).binding.revocation_endpoint;

  it('uses what was found at the consent when nothing is typed', () => {
    const revocation_endpoint = 'https://issuer.example/revoke';
    expect(endpointFor({}, { revocation_endpoint })).toBe(revocation_endpoint);
    expect(revocationClient({ ...binding, revocation_endpoint }, null, stored).binding.revocation_endpoint).toBe(
      revocation_endpoint,
    );
  });

  it.each(['https://tokens.example/revoke', 'https://issuer.example/revoke'])(
    'takes an endpoint typed after the consent at a server of the consent: %s',
    (oauth2_revocation_url) => {
      expect(endpointFor({ oauth2_revocation_url })).toBe(oauth2_revocation_url);
    },
  );

  it('never carries tokens and secrets to a host that was typed after the consent', () => {
    const oauth2_revocation_url = 'https://elsewhere.example/revoke';
    expect(endpointFor({ oauth2_revocation_url })).toBeNull();
    const revocation_endpoint = 'https://issuer.example/revoke';
    expect(endpointFor({ oauth2_revocation_url }, { revocation_endpoint })).toBe(revocation_endpoint);
  });

  it('keeps an endpoint on a host of its own that stood in the configuration at the consent', () => {
    const revocation_endpoint = 'https://revocation.example/revoke';
    const oauth2_revocation_url = 'https://revocation.example/v2/revoke';
    expect(endpointFor({ oauth2_revocation_url }, { revocation_endpoint })).toBe(oauth2_revocation_url);
  });
});
