import { describe, expect, it } from 'vitest';
import type { Decider, RevocationReason } from '../../src/core/auth-event.ts';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import { isoOrNull, isTokenIssue, oauthStatus } from '../../src/core/connection-status.ts';
import type { Credential, RefreshFailure } from '../../src/core/credential.ts';
import { credentialFacts, HOUR, NOW } from './facts.ts';

const config: ConnectionConfig = { auth_mode: 'oauth', endpoint: 'https://mcp.example/mcp' };
const status = (credential: Credential, issues: { path: string; message: string }[] = [], now = NOW) =>
  oauthStatus(credential, config, issues, now);
const failure: RefreshFailure = {
  type: 'transient',
  since: NOW - HOUR,
  last_at: NOW,
  count: 3,
  idp_error_code: null,
  error_class: 'timeout',
};
const blank: Partial<Credential> = { state: 'never_connected', token: null, binding: null };

describe('the state of a connection', () => {
  it('never connected', () => {
    expect(status(credentialFacts(blank))).toMatchObject({
      configured: true,
      state: 'never_connected',
      health: 'ok',
      needs_reauth: true,
      token_acquired: false,
      expires_at: null,
      has_refresh_token: false,
      token_url: null,
      idp_host: null,
      last_revocation: null,
      forecast: { reason: 'not_connected' },
      summary: 'No token has been acquired yet. Connect it in a browser.',
    });
  });

  it('connected', () => {
    expect(status(credentialFacts())).toMatchObject({
      state: 'connected',
      health: 'ok',
      needs_reauth: false,
      token_acquired: true,
      expires_at: '2026-11-23T01:00:00.000Z',
      has_refresh_token: true,
      token_url: 'https://idp.example/token',
      idp_host: 'idp.example',
      scope: 'read',
      authenticated_by: 'ada@example.com',
      authenticated_at: '2026-11-23T00:00:00.000Z',
      next_refresh_reason: 'access_token_expiring',
      generation: '7',
      last_error: null,
      failing_since: null,
      held_since: null,
      issuer_incident: null,
      forecast: { lives_until: null, reason: 'refreshed_automatically' },
    });
  });

  const revoked: [RevocationReason, Decider, string][] = [
    ['invalid_grant', 'idp', 'idp.example rejected the refresh token (invalid_grant)'],
    ['refresh_expired', 'idp', 'idp.example rejected the refresh token after its known lifetime'],
    ['rotation_outcome_lost', 'idp', 'its answer never reached this server'],
    ['no_refresh_token', 'platform', 'never gave a refresh token, so it cannot be renewed'],
    ['disconnected', 'person', 'An operator disconnected'],
    ['destination_changed', 'person', 'an operator changed where it would be sent'],
    ['connection_deleted', 'person', 'An operator deleted'],
  ];

  it.each(revoked)('revoked for %s by the %s, in words of its own (lesson 18)', (reason, decided_by, words) => {
    const revocation = { occurred_at: NOW, reason, decided_by, idp_host: 'idp.example', from_generation: 6n };
    const shown = status(credentialFacts({ state: 'revoked', token: null, revocation }));
    expect(shown).toMatchObject({ state: 'revoked', needs_reauth: true, token_acquired: false });
    expect(shown.summary).toContain(words);
    expect(shown.summary).toContain('Reconnect');
    expect(shown.summary.includes('rejected')).toBe(reason === 'invalid_grant' || reason === 'refresh_expired');
    expect(shown.last_revocation).toEqual({
      occurred_at: '2026-11-23T00:00:00.000Z',
      reason,
      idp_host: 'idp.example',
      decided_by,
    });
  });
});

describe('the health of a connection', () => {
  const incident = { opened_at: NOW - HOUR, probe_at: NOW };
  const cases: [string, Credential, string, string][] = [
    ['ok', credentialFacts(), 'ok', 'Connected. Tokens are refreshed in the background.'],
    [
      'without a refresh token',
      credentialFacts({}, { has_refresh_token: false }),
      'reconnect_soon',
      'Without a refresh token this connection ends with its access token',
    ],
    ['that never ends', credentialFacts({}, { has_refresh_token: false, expires_at: null }), 'ok', 'Connected. Tokens'],
    [
      'failing',
      credentialFacts({ failure }),
      'refresh_failing',
      'since 2026-11-22T23:00:00.000Z (timeout). The token is kept',
    ],
    [
      'refused and held',
      credentialFacts({ failure: { ...failure, idp_error_code: 'invalid_grant', held_since: NOW - HOUR } }),
      'refresh_failing',
      'idp.example has refused the refresh token (invalid_grant) since 2026-11-22T23:00:00.000Z. It is kept until another',
    ],
    [
      'refused in an incident',
      credentialFacts({ failure: { ...failure, held_since: NOW }, incident }),
      'refresh_failing',
      'Since 2026-11-22T23:00:00.000Z idp.example refuses many connections at once, so the fault is taken to be its own',
    ],
    [
      'failing in an incident, with no access token',
      credentialFacts({ failure, incident }, { expires_at: NOW }),
      'access_token_expired',
      'The access token has expired. Since 2026-11-22T23:00:00.000Z idp.example fails many connections at once',
    ],
    [
      'well in an incident',
      credentialFacts({ incident }),
      'ok',
      'Connected. Many connections of idp.example fail at the moment',
    ],
    ['ambiguous', credentialFacts({ ambiguous: true }), 'refresh_failing', 'since the last attempt (ambiguous)'],
    [
      'misconfigured',
      credentialFacts({ failure: { ...failure, type: 'misconfigured', idp_error_code: 'invalid_scope' } }),
      'client_misconfigured',
      'refuses this client (invalid_scope). The token is kept',
    ],
    ['expired', credentialFacts({}, { expires_at: NOW }), 'access_token_expired', 'has expired and is being refreshed'],
    [
      'expired and failing',
      credentialFacts({ failure }, { expires_at: NOW }),
      'access_token_expired',
      'Retried automatically; check that idp.example can be reached',
    ],
    [
      'expired and misconfigured',
      credentialFacts({ failure: { ...failure, type: 'misconfigured' } }, { expires_at: NOW }),
      'client_misconfigured',
      'invalid_client',
    ],
  ];

  it.each(cases)('%s', (_name, credential, health, words) => {
    const shown = status(credential);
    expect(shown.health).toBe(health);
    expect(shown.summary).toContain(words);
    expect(shown.needs_reauth).toBe(false);
  });

  it('with a configuration that is not valid names the field', () => {
    const shown = status(credentialFacts({ failure }), [{ path: 'endpoint', message: 'must be absolute' }]);
    expect(shown).toMatchObject({ configured: false, health: 'configuration_invalid' });
    expect(shown.summary).toContain('endpoint must be absolute');
  });

  it('with a token that cannot be decrypted says so, and how to heal it (lesson 17)', () => {
    const issue = { path: 'refresh_token', message: 'cannot be decrypted' };
    expect(status(credentialFacts(), [issue]).summary).toContain('or reconnect');
    expect(isTokenIssue(issue)).toBe(true);
    expect(isTokenIssue({ path: 'access_token', message: '' })).toBe(true);
    expect(isTokenIssue({ path: 'endpoint', message: '' })).toBe(false);
  });

  it('tells the last error by its code, else by its class', () => {
    expect(status(credentialFacts({ failure })).last_error).toBe('timeout');
    expect(status(credentialFacts({ failure: { ...failure, idp_error_code: 'slow' } })).last_error).toBe('slow');
  });
});

describe('the forecast', () => {
  it('ends with an access token that cannot be renewed', () => {
    expect(status(credentialFacts({}, { has_refresh_token: false })).forecast).toMatchObject({
      lives_until: '2026-11-23T01:00:00.000Z',
      reason: 'no_refresh_token',
    });
    expect(status(credentialFacts({}, { has_refresh_token: false, expires_at: null })).forecast).toMatchObject({
      lives_until: null,
      reason: 'never_expires',
    });
  });

  it('asks for a configured lifetime where the provider discloses none', () => {
    const sentence = (credential: Credential, more = {}) =>
      oauthStatus(credential, { ...config, ...more }, [], NOW).forecast.sentence;
    const silent = credentialFacts({}, { expires_at: null });
    expect(sentence(silent)).toContain('oauth2_refresh_max_lifetime');
    expect(sentence(credentialFacts())).not.toContain('oauth2_refresh');
    expect(sentence(silent, { oauth2_refresh_max_lifetime: '60d' })).not.toContain('oauth2_refresh');
    expect(sentence(credentialFacts({}, { refresh_expires_at: NOW + HOUR }))).not.toContain('oauth2_refresh');
  });
});

it('an instant is RFC 3339, and nothing stays nothing', () => {
  expect(isoOrNull(0)).toBe('1970-01-01T00:00:00.000Z');
  expect(isoOrNull(null)).toBeNull();
  expect(isoOrNull(undefined)).toBeNull();
});
