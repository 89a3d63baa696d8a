import type { ClientBinding, Credential } from '../../src/core/credential.ts';
import type { TokenFacts } from '../../src/core/token-set.ts';

export const NOW = Date.UTC(2026, 10, 23);
export const HOUR = 3_600_000;

export const binding: ClientBinding = {
  issuer: 'https://idp.example',
  authorization_endpoint: 'https://idp.example/authorize',
  token_endpoint: 'https://idp.example/token',
  revocation_endpoint: null,
  client_id: 'client',
  token_endpoint_auth_method: 'client_secret_basic',
  resource: null,
  scope: 'read',
  client_source: 'config',
};

/** A healthy connected credential, save for what the test says. */
export function credentialFacts(more: Partial<Credential> = {}, token: Partial<TokenFacts> = {}): Credential {
  return {
    key: { kind: 'mcp', name: 'acme' },
    incarnation: '11111111-1111-4111-8111-111111111111',
    lock_key: 1n,
    generation: 7n,
    consent_seq: 1n,
    state: 'connected',
    token: {
      token_type: 'Bearer',
      scope: 'read',
      expires_at: NOW + HOUR,
      refresh_expires_at: null,
      refresh_deadline_fixed: false,
      has_refresh_token: true,
      refresh_token_fingerprint: 'print',
      received_at: NOW,
      refresh_used_at: NOW,
      last_refreshed_at: null,
      authenticated_by: 'ada@example.com',
      authenticated_at: NOW,
      ...token,
    },
    binding,
    intent: null,
    ambiguous: false,
    failure: null,
    revocation: null,
    next_refresh_at: NOW + HOUR,
    next_refresh_reason: 'access_token_expiring',
    settled_attempt_id: null,
    incident: null,
    ...more,
  };
}
