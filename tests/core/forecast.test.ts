import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConnectionConfig, mcpConfigSchema, parseConnectionConfig } from '../../src/core/connection.ts';
import { oauthStatus } from '../../src/core/connection-status.ts';
import type { Credential } from '../../src/core/credential.ts';
import {
  connectionProfile,
  OVERRIDABLE_FIELDS,
  PROVIDER_PROFILES,
  refreshMaxLifetime,
} from '../../src/core/provider-profile.ts';
import { CANARY_DELAY_MS, deadlineFixed, nextRefresh } from '../../src/core/refresh-policy.ts';
import { DEFAULT_PROTOCOL_SETTINGS as settings } from '../../src/core/settings.ts';
import type { TokenFacts } from '../../src/core/token-set.ts';
import { credentialFacts, HOUR, NOW } from './facts.ts';

const DAY = 24 * HOUR;
const base: ConnectionConfig = { auth_mode: 'oauth', endpoint: 'https://mcp.example/mcp' };
const at = (ms: number) => new Date(NOW + ms).toISOString();

function status(config: Partial<ConnectionConfig>, token: Partial<TokenFacts> = {}, more: Partial<Credential> = {}) {
  return oauthStatus(credentialFacts(more, token), { ...base, ...config }, [], NOW);
}
const codes = (found: ReturnType<typeof status>) => found.findings.map(({ code }) => code);

describe('until when a connection lives without a person', () => {
  const soon = 'reconnect_soon';
  it.each([
    ['refreshed', {}, {}, null, 'refreshed_automatically', 'ok'],
    [
      'a wall clock',
      {},
      { refresh_expires_at: NOW + 30 * DAY, refresh_deadline_fixed: true },
      30 * DAY,
      'wall_clock',
      'ok',
    ],
    ['a near wall clock', {}, { refresh_expires_at: NOW + DAY, refresh_deadline_fixed: true }, DAY, 'wall_clock', soon],
    ['a deadline that slides', {}, { refresh_expires_at: NOW + DAY }, null, 'refreshed_automatically', 'ok'],
    [
      'an absolute life',
      { oauth2_profile: { refresh_absolute_lifetime: '90d' } },
      {},
      90 * DAY,
      'absolute_lifetime',
      'ok',
    ],
    [
      'the earlier of two ends',
      { oauth2_profile: { refresh_absolute_lifetime: '90d' } },
      { refresh_expires_at: NOW + 30 * DAY, refresh_deadline_fixed: true },
      30 * DAY,
      'wall_clock',
      'ok',
    ],
    [
      'a testing mode that is told',
      { provider: 'google' },
      { refresh_expires_at: NOW + 7 * DAY - 1_000 },
      7 * DAY,
      'testing_mode',
      soon,
    ],
    [
      'a testing mode that the operator knows',
      { oauth2_profile: { testing_mode: true } },
      {},
      7 * DAY,
      'testing_mode',
      soon,
    ],
    ['a session', { provider: 'keycloak' }, { refresh_expires_at: NOW + HOUR }, null, 'session_bound', 'ok'],
    [
      'Meta',
      { provider: 'meta-ads' },
      { has_refresh_token: false, expires_at: null },
      60 * DAY,
      'no_refresh_token',
      'ok',
    ],
    ['no refresh token', {}, { has_refresh_token: false }, HOUR, 'no_refresh_token', soon],
    ['a token without end', {}, { has_refresh_token: false, expires_at: null }, null, 'never_expires', 'ok'],
    ['silence', {}, { expires_at: null }, null, 'unknown', 'ok'],
    ['silence of whom we know', { provider: 'xero' }, { expires_at: null }, null, 'refreshed_automatically', 'ok'],
  ])('%s', (_name, config, token, end, reason, health) => {
    const shown = status(config, token);
    expect(shown.forecast).toMatchObject({ lives_until: end === null ? null : at(end), reason });
    expect(shown.health).toBe(health);
    if (health === soon)
      expect(shown).toMatchObject({ needs_person: true, summary: expect.stringContaining('Reconnect') });
  });

  it('a refused client ends it with the access token', () => {
    const failure = {
      type: 'misconfigured',
      since: NOW,
      last_at: NOW,
      count: 1,
      idp_error_code: 'invalid_client',
      error_class: 'structured',
    } as const;
    const shown = status({}, {}, { failure });
    expect(shown.forecast).toMatchObject({ lives_until: at(HOUR), reason: 'client_misconfigured' });
    expect(shown).toMatchObject({ health: 'client_misconfigured', needs_person: true });
  });
});

describe('the audit', () => {
  const proven = { last_refreshed_at: NOW };
  it.each([
    ['nothing', {}, proven, []],
    ['a session', { provider: 'keycloak' }, proven, ['session_bound']],
    ['an offline session', { provider: 'keycloak' }, { ...proven, scope: 'read offline_access' }, []],
    ['a need', { provider: 'blackbaud' }, proven, ['max_lifetime_missing']],
    ['a need that is met', { provider: 'blackbaud', oauth2_refresh_max_lifetime: '60d' }, proven, []],
    ['Google', { provider: 'google' }, proven, ['testing_mode_possible']],
    ['silence', {}, { ...proven, expires_at: null }, ['lifetime_unknown']],
    ['no refresh token', {}, { has_refresh_token: false }, ['no_refresh_token']],
    ['a short refresh token', {}, { ...proven, refresh_expires_at: NOW + 1 }, ['short_refresh_token']],
    ['no refresh yet', {}, {}, ['renewal_unproven']],
  ])('finds of %s', (_name, config, token, found) => {
    expect(codes(status(config, token))).toEqual(found);
  });

  it('asks for a person where a lifetime is required, and advises where it is recommended', () => {
    expect(status({ provider: 'blackbaud' }, proven).needs_person).toBe(true);
    expect(status({ provider: 'salesforce' }, proven)).toMatchObject({ needs_person: false });
    expect(codes(status({ provider: 'salesforce' }, proven))).toEqual(['max_lifetime_missing']);
  });

  it('knows whether the grant has been renewed', () => {
    expect(status({}, {}, { next_refresh_reason: 'canary' })).toMatchObject({ renewal: 'testing', findings: [] });
    expect(status({}, proven).renewal).toBe('proven');
    expect(status({}, { has_refresh_token: false }).renewal).toBe('impossible');
  });
});

describe('overrides of a profile', () => {
  const schemas = new Map([['mcp', mcpConfigSchema]]);
  const issues = (config: Record<string, unknown>) => {
    const parsed = parseConnectionConfig(schemas as never, 'mcp', { ...base, ...config });
    return parsed.ok ? [] : parsed.issues.map(({ path, message }) => `${path} ${message}`);
  };

  it('reach every field, of every provider', () => {
    const written = {
      rotation: 'rotating',
      honours_previous: true,
      grace_window: '30s',
      dead_grant_codes: ['gone'],
      gives_refresh_token: false,
      scope_for_refresh_token: 'keep',
      session_bound_without_scope: 'keep',
      authorize_params: { a: 'b' },
      accepts_resource: false,
      scope_on_refresh: true,
      token_endpoint_auth_method: 'client_secret_basic_raw',
      client_assertion_audience: 'token_endpoint',
      token_accept: 'text/plain',
      access_lifetime: '5m',
      refresh_idle_lifetime: '10d',
      refresh_absolute_lifetime: '20d',
      discloses_refresh_expiry: false,
      max_lifetime_need: 'required',
      testing_mode_lifetime: null,
      testing_mode: true,
      refresh_canary: false,
    };
    expect(Object.keys(written).sort()).toEqual([...OVERRIDABLE_FIELDS].sort());
    expect(issues({ oauth2_profile: written })).toEqual([]);
    for (const { id } of PROVIDER_PROFILES) {
      expect(connectionProfile({ provider: id, oauth2_profile: written }, null)).toMatchObject({
        ...written,
        id,
        grace_window: 30_000,
        access_lifetime: HOUR / 12,
        refresh_idle_lifetime: 10 * DAY,
        refresh_absolute_lifetime: 20 * DAY,
      });
    }
  });

  it.each([
    [
      { oauth2_profile: { rotation: 'often' } },
      'oauth2_profile.rotation must be one of none, rotating, one_time, unknown',
    ],
    [{ oauth2_profile: { rotatoin: 'none' } }, 'oauth2_profile.rotatoin is not a known field'],
    [
      { oauth2_profile: { refresh_idle_lifetime: 60 } },
      'oauth2_profile.refresh_idle_lifetime must be a duration such as 60d, 24h or 30m, or null for none',
    ],
    [{ oauth2_profile: { testing_mode: 'yes' } }, 'oauth2_profile.testing_mode must be true or false'],
    [
      { oauth2_profile: { authorize_params: { state: 'x' } } },
      'oauth2_profile.authorize_params must not set state: the flow sets it',
    ],
    [{ oauth2_profile: { token_accept: 'a\r\nX: y' } }, 'oauth2_profile.token_accept must be a media type'],
    [{ oauth2_refresh_canary: 'no' }, 'oauth2_refresh_canary must be true or false'],
  ])('are refused by the name of the field: %j', (config, issue) => {
    expect(issues(config)).toEqual([issue]);
  });

  it('refuse a provider that nobody knows, and name those that are known', () => {
    expect(issues({ provider: 'acme' })[0]).toMatch(/^provider must be one of keycloak, auth0, .*cognito$/);
  });

  it('that are no longer valid leave the profile as it is, whatever they are', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (oauth2_profile, provider) => {
        expect(connectionProfile({ oauth2_profile, provider }, 'https://slack.com/api').dead_grant_codes).toBeDefined();
      }),
    );
    const bad = { oauth2_profile: { rotation: 'often', testing_mode: true } };
    expect(connectionProfile(bad, 'https://slack.com/api')).toMatchObject({
      rotation: 'one_time',
      testing_mode: false,
    });
  });

  it('know a Keycloak by the path of its token endpoint', () => {
    const url = 'https://sso.acme.example/realms/a/protocol/openid-connect/token';
    expect(connectionProfile(null, url).id).toBe('keycloak');
  });

  it('what is documented counts where nothing is disclosed, what is configured always', () => {
    const xero = connectionProfile({ provider: 'xero' }, null);
    expect(refreshMaxLifetime(null, xero, null)).toBe(60 * DAY);
    expect(refreshMaxLifetime(null, xero, NOW)).toBeNull();
    expect(refreshMaxLifetime({ oauth2_refresh_max_lifetime: '1d' }, xero, NOW)).toBe(DAY);
  });
});

describe('a disclosed deadline', () => {
  const before = { refresh_expires_at: NOW + DAY, refresh_used_at: NOW, refresh_deadline_fixed: false };
  const elapsed = fc.integer({ min: 5_000, max: 60 * DAY });
  const blur = fc.integer({ min: -999, max: 999 });

  it('that slides is no wall clock, and a wall clock is one, whatever the rounding and the latency', () => {
    fc.assert(
      fc.property(elapsed, blur, fc.integer({ min: 0, max: 900 }), (ms, off, latency) => {
        const received_at = NOW + ms;
        const told = { received_at, sent_at: received_at - latency };
        expect(deadlineFixed(before, { ...told, refresh_expires_at: before.refresh_expires_at + ms + off })).toBe(
          false,
        );
        const still = before.refresh_expires_at + off + latency;
        expect(deadlineFixed(before, { ...told, refresh_expires_at: still })).toBe(true);
      }),
    );
  });

  it('two uses close together say nothing: a live token must not be left to die of it', () => {
    const soon = { received_at: NOW + 500, sent_at: NOW + 450, refresh_expires_at: NOW + DAY };
    expect(deadlineFixed(before, soon)).toBe(false);
    expect(deadlineFixed({ ...before, refresh_deadline_fixed: true }, soon)).toBe(true);
    expect(deadlineFixed(null, soon)).toBe(false);
    expect(deadlineFixed(before, { ...soon, refresh_expires_at: null })).toBe(false);
  });
});

describe('the schedule', () => {
  const lifetime = fc.option(fc.integer({ min: 1, max: 400 * DAY }), { nil: null });
  const facts = { received_at: NOW, refresh_used_at: NOW, has_refresh_token: true };

  it('is never after what ends first, never more than one pause early of now, and half of a lifetime away at least', () => {
    fc.assert(
      fc.property(
        lifetime,
        lifetime,
        lifetime,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (access, refresh, max, jitter) => {
          const due = nextRefresh({
            token: { ...facts, expires_at: access && NOW + access, refresh_expires_at: refresh && NOW + refresh },
            refresh_max_lifetime: max,
            wall_clock: false,
            settings,
            jitter,
          });
          const lives = [access, refresh, max].filter((life) => life !== null);
          if (lives.length === 0) {
            expect(due).toBeNull();
            return;
          }
          const shortest = Math.min(...lives);
          expect(due?.at).toBeLessThanOrEqual(NOW + Math.max(shortest, 1_000));
          expect(due?.at).toBeGreaterThanOrEqual(NOW + Math.min(Math.floor(shortest * 0.45), shortest) - 1);
          expect(due?.at).toBeGreaterThanOrEqual(NOW + 1_000);
        },
      ),
    );
  });

  it.each(PROVIDER_PROFILES.map((profile) => [profile.id, profile] as const))(
    'a month and a silent year at %s stay within their bounds (lesson 12)',
    (_id, profile) => {
      for (const [access, days, bound] of [
        [HOUR, 30, 800],
        [null, 365, 14],
      ] as const) {
        let now = NOW;
        let count = 0;
        for (; count <= bound; count += 1) {
          const due = nextRefresh({
            token: {
              ...facts,
              received_at: now,
              refresh_used_at: now,
              expires_at: access && now + access,
              refresh_expires_at: null,
            },
            refresh_max_lifetime: refreshMaxLifetime(null, profile, null),
            wall_clock: false,
            settings,
            jitter: 0.5,
          });
          if (due === null || due.at > NOW + days * DAY) break;
          now = due.at;
        }
        expect(count).toBeLessThanOrEqual(bound);
      }
    },
  );

  it('begins with a canary, unless something is due before it or nothing can be refreshed', () => {
    const first = (token: Partial<TokenFacts>) =>
      nextRefresh({
        token: { ...facts, expires_at: NOW + HOUR, refresh_expires_at: null, ...token },
        refresh_max_lifetime: null,
        wall_clock: false,
        canary: true,
        settings,
        jitter: 0,
      });
    expect(first({})).toEqual({ at: NOW + CANARY_DELAY_MS, reason: 'canary' });
    expect(first({ expires_at: NOW + 4_000 })?.reason).toBe('access_token_expiring');
    expect(first({ has_refresh_token: false })?.reason).toBe('access_token_expiring');
  });
});
