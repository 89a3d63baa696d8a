import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Credential } from '../../src/core/credential.ts';
import { idpHostOf } from '../../src/core/credential.ts';
import { mayPresent, type PresentInput } from '../../src/core/intent-rules.ts';
import { Secret } from '../../src/core/redact.ts';
import { refreshOutcome } from '../../src/core/refresh-outcome.ts';
import { backoff, nextRefresh, type PolicyInput } from '../../src/core/refresh-policy.ts';
import { DEFAULT_PROTOCOL_SETTINGS as settings } from '../../src/core/settings.ts';
import type { TokenAnswer } from '../../src/core/token-response.ts';
import { binding, credentialFacts } from './facts.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 23);

function policy(token: Partial<PolicyInput['token']>, more: Partial<PolicyInput> = {}): PolicyInput {
  return {
    token: {
      expires_at: null,
      refresh_expires_at: null,
      has_refresh_token: true,
      received_at: NOW,
      refresh_used_at: NOW,
      ...token,
    },
    refresh_max_lifetime: null,
    wall_clock: false,
    settings,
    jitter: 0,
    ...more,
  };
}

describe('when a token is refreshed next', () => {
  const cases: [string, PolicyInput, [number, string] | null][] = [
    ['five minutes before its end', policy({ expires_at: NOW + HOUR }), [55 * MINUTE, 'access_token_expiring']],
    ['at half of a short life', policy({ expires_at: NOW + 4 * MINUTE }), [2 * MINUTE, 'access_token_expiring']],
    [
      'at half exactly where both agree',
      policy({ expires_at: NOW + 10 * MINUTE }),
      [5 * MINUTE, 'access_token_expiring'],
    ],
    [
      'at once when it has ended, but not in a tight loop',
      policy({ expires_at: NOW - 1 }),
      [1_000, 'access_token_expiring'],
    ],
    ['never, when it discloses nothing', policy({}), null],
    [
      'an hour before the refresh token ends',
      policy({ refresh_expires_at: NOW + DAY }),
      [23 * HOUR, 'refresh_token_expiring'],
    ],
    [
      'at half of the 30 minutes that Keycloak gives (lesson 12)',
      policy({ refresh_expires_at: NOW + 30 * MINUTE }),
      [15 * MINUTE, 'refresh_token_expiring'],
    ],
    [
      'not for the sake of a wall clock, which a refresh does not move',
      policy({ refresh_expires_at: NOW + DAY }, { wall_clock: true }),
      null,
    ],
    [
      'an hour before the configured life ends, counted from the last use (lesson 12)',
      policy({ refresh_used_at: NOW + 10 * DAY }, { refresh_max_lifetime: 60 * DAY }),
      [70 * DAY - HOUR, 'max_lifetime'],
    ],
    [
      'at the earliest of all',
      policy({ expires_at: NOW + HOUR, refresh_expires_at: NOW + 90 * MINUTE }, { refresh_max_lifetime: 100 * MINUTE }),
      [45 * MINUTE, 'refresh_token_expiring'],
    ],
    [
      'for the first reason of equal ones',
      policy({ expires_at: NOW + 8 * MINUTE }, { refresh_max_lifetime: 8 * MINUTE }),
      [4 * MINUTE, 'access_token_expiring'],
    ],
    [
      'at its end when it cannot be refreshed, for the platform to say so',
      policy({ has_refresh_token: false, expires_at: NOW + HOUR }, { refresh_max_lifetime: MINUTE }),
      [HOUR, 'access_token_expiring'],
    ],
    ['never, when it neither ends nor can be refreshed', policy({ has_refresh_token: false }), null],
  ];

  it.each(cases)('%s', (_name, input, expected) => {
    expect(nextRefresh(input)).toEqual(expected && { at: NOW + expected[0], reason: expected[1] });
  });

  it('jitters only earlier, by at most a tenth of the lead', () => {
    const lifetime = fc.integer({ min: 1, max: 90 * DAY });
    const jitter = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(lifetime, jitter, (ms, chance) => {
        const plain = nextRefresh(policy({ expires_at: NOW + ms }))?.at ?? 0;
        const moved = nextRefresh(policy({ expires_at: NOW + ms }, { jitter: chance }))?.at ?? 0;
        const lead = Math.min(settings.access_lead, ms / 2);
        expect(moved).toBeLessThanOrEqual(plain);
        expect(moved).toBeGreaterThanOrEqual(plain - lead * 0.1 - 1);
        expect(moved).toBeGreaterThanOrEqual(NOW);
      }),
    );
  });

  const month: [string, Partial<Record<'access' | 'refresh' | 'max', number>>, boolean, number][] = [
    ['an hour of access', { access: HOUR }, false, 800],
    ['Keycloak: 5 and 30 minutes', { access: 5 * MINUTE, refresh: 30 * MINUTE }, false, 19_300],
    ['no access expiry, 30 minutes of refresh', { refresh: 30 * MINUTE }, false, 3_100],
    ['no access expiry, a day of refresh', { refresh: DAY }, false, 33],
    ['a wall clock of a day', { access: HOUR, refresh: DAY }, true, 800],
    ['a max lifetime of an hour', { max: HOUR }, false, 1_600],
    ['a max lifetime of 60 days', { max: 60 * DAY }, false, 0],
    ['nothing disclosed', {}, false, 0],
  ];

  it.each(month)('in a month of %s stays within its bound (lesson 12)', (_name, life, wall, bound) => {
    let now = NOW;
    let count = 0;
    for (;;) {
      const due = nextRefresh(
        policy(
          {
            received_at: now,
            refresh_used_at: now,
            expires_at: life.access === undefined ? null : now + life.access,
            refresh_expires_at: life.refresh === undefined ? null : (wall ? NOW : now) + life.refresh,
          },
          { refresh_max_lifetime: life.max ?? null, wall_clock: wall && count > 0, jitter: 0.5 },
        ),
      );
      if (due === null || due.at > NOW + 30 * DAY) break;
      expect(due.at).toBeGreaterThan(now);
      now = due.at;
      count += 1;
      if (count > bound) break;
    }
    expect(count).toBeLessThanOrEqual(bound);
  });
});

describe('the pause after failures', () => {
  it.each([
    [1, 0, null, 5_000],
    [1, 1, null, 10_000],
    [0, 0, null, 5_000],
    [2, 0, null, 10_000],
    [3, 0, null, 20_000],
    [8, 1, null, 15 * MINUTE],
    [1_000, 0, null, 7.5 * MINUTE],
    [1, 0, 120, 120_000],
    [1, 1, 5, 10_000],
    [1, 0, 365 * 86_400, DAY],
    [1, 0, 0, 5_000],
  ])('number %i with chance %f, asked for %s s: %i ms', (count, jitter, asked, expected) => {
    expect(backoff(count, settings, jitter, asked)).toBe(expected);
  });

  it('is never shorter than half of the first nor than what was asked, nor longer than a day', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(10 ** 7), (count, jitter, asked) => {
        const pause = backoff(count, settings, jitter, asked);
        expect(pause).toBeGreaterThanOrEqual(Math.max(settings.backoff_min / 2, Math.min(asked * 1000, DAY)));
        expect(pause).toBeLessThanOrEqual(Math.max(settings.backoff_max, Math.min(asked * 1000, DAY)));
      }),
    );
  });
});

describe('what follows from an answer (lesson 9)', () => {
  const context = {
    profile: { dead_grant_codes: ['bad_refresh_token'] },
    ambiguous_before: false,
    deadline_passed: false,
  };
  const error = (code: string, status = 400): TokenAnswer => ({ type: 'error', error: code, status, retry_after: 9 });

  it('success is success', () => {
    const token_set = {
      access_token: new Secret('a'),
      token_type: 'Bearer',
      expires_at: null,
      refresh_expires_at: null,
      scope: null,
      received_at: NOW,
    };
    expect(refreshOutcome({ type: 'tokens', token_set }, context)).toEqual({ type: 'success', token_set });
  });

  it.each(['invalid_grant', 'bad_refresh_token'])('%s ends the grant, whatever the status', (code) => {
    for (const status of [200, 400, 401, 500]) {
      const expected = { type: 'revoked', reason: 'invalid_grant', idp_error_code: code, http_status: status };
      expect(refreshOutcome(error(code, status), context)).toEqual(expected);
    }
  });

  it.each([
    [false, false, 'invalid_grant'],
    [false, true, 'refresh_expired'],
    [true, false, 'rotation_outcome_lost'],
    [true, true, 'rotation_outcome_lost'],
  ])('an end with ambiguity %s and a passed deadline %s is %s', (ambiguous_before, deadline_passed, reason) => {
    const outcome = refreshOutcome(error('invalid_grant'), { ...context, ambiguous_before, deadline_passed });
    expect(outcome).toMatchObject({ reason });
  });

  it.each([
    'invalid_client',
    'unauthorized_client',
    'invalid_scope',
    'invalid_request',
    'unsupported_grant_type',
    'invalid_target',
  ])('%s speaks about us', (code) => {
    const expected = { type: 'misconfigured', idp_error_code: code, http_status: 400, retry_after: 9 };
    expect(refreshOutcome(error(code), context)).toEqual(expected);
  });

  it.each(['server_error', 'temporarily_unavailable', 'slow_down', 'invalid_refresh_token'])('%s passes', (code) => {
    expect(refreshOutcome(error(code), context)).toEqual({
      type: 'transient',
      ambiguous: false,
      error_class: 'structured',
      idp_error_code: code,
      http_status: 400,
      retry_after: 9,
    });
  });

  it.each([
    ['not_processed', false],
    ['perhaps_processed', true],
  ] as const)('%s is transient, ambiguous: %s', (type, ambiguous) => {
    expect(refreshOutcome({ type, error_class: 'timeout', status: 504, retry_after: 3 }, context)).toEqual({
      type: 'transient',
      ambiguous,
      error_class: 'timeout',
      idp_error_code: null,
      http_status: 504,
      retry_after: 3,
    });
  });
});

describe('whether the token may be presented', () => {
  const intent = (age_ms: number, more: Partial<NonNullable<Credential['intent']>> = {}) => ({
    attempt_id: 'attempt',
    replica_id: 'a',
    boot_id: 1n,
    refresh_token_fingerprint: null,
    age_ms,
    ...more,
  });
  function input(
    more: Partial<Omit<PresentInput, 'credential'>> & { intent?: Credential['intent']; expires_at?: number | null },
  ): PresentInput {
    const { intent: open = null, expires_at = NOW + HOUR, ...rest } = more;
    return {
      credential: credentialFacts({ intent: open }, { expires_at }),
      intent_owner: null,
      self: { replica_id: 'a', boot_id: 2n, listening: new Set() },
      profile: { rotation: 'unknown', honours_previous: false },
      settings,
      now: NOW,
      ...rest,
    };
  }
  const b = { replica_id: 'b', boot_id: 5n, listening: new Set<string>() };
  const seen = (ago: number, drained_boot: bigint | null = null) => ({ last_seen_age_ms: ago, drained_boot });
  const may = { may: true };
  const not = (until: number, why: string) => ({ may: false, until: NOW + until, why });

  const cases: [string, PresentInput, object][] = [
    ['without an intent', input({}), may],
    ['rule 7: our own of a former boot, within the lease', input({ intent: intent(89_999) }), not(1, 'leased')],
    [
      'rule 14: the lease over, the access token alive: not before it is about to end',
      input({ intent: intent(90_000) }),
      not(HOUR - settings.access_lead, 'awaiting_access_token_end'),
    ],
    [
      'rule 14: the access token is about to end',
      input({ intent: intent(90_000), now: NOW + HOUR - settings.access_lead }),
      may,
    ],
    [
      'rule 14: the lead of a token of two minutes is one minute',
      input({ intent: intent(90_000), expires_at: NOW + 2 * MINUTE }),
      not(MINUTE, 'awaiting_access_token_end'),
    ],
    [
      'rule 7: of this very boot, no longer listening: the short lease',
      input({ intent: intent(1_000, { boot_id: 2n }) }),
      not(89_000, 'leased'),
    ],
    [
      'rules 7, 9: of this boot and listening: the long lease',
      input({
        intent: intent(90_000, { boot_id: 2n }),
        self: { replica_id: 'a', boot_id: 2n, listening: new Set(['attempt']) },
      }),
      not(330_000, 'leased'),
    ],
    [
      'rule 9: listening even beyond the long lease',
      input({
        intent: intent(8 * MINUTE, { boot_id: 2n }),
        expires_at: NOW,
        self: { replica_id: 'a', boot_id: 2n, listening: new Set(['attempt']) },
      }),
      not(1_000, 'listening'),
    ],
    ['rule 14: the access token has ended', input({ intent: intent(90_000), expires_at: NOW }), may],
    ['rule 14: nothing is gained by waiting without an end', input({ intent: intent(90_000), expires_at: null }), may],
    [
      'rule 14: the provider does not rotate',
      input({ intent: intent(90_000), profile: { rotation: 'none', honours_previous: false } }),
      may,
    ],
    [
      'rule 14: the provider honours the previous token',
      input({ intent: intent(90_000), profile: { rotation: 'rotating', honours_previous: true } }),
      may,
    ],
    [
      'rule 14: the lease is not waived even there',
      input({ intent: intent(89_000), profile: { rotation: 'none', honours_previous: true } }),
      not(1_000, 'leased'),
    ],
    [
      'rule 15: another’s, which may still listen: the long lease',
      input({ intent: intent(MINUTE), self: b, intent_owner: seen(0) }),
      not(6 * MINUTE, 'leased'),
    ],
    [
      'rule 15: another’s, alive: its access token and its silence decide',
      input({ intent: intent(7 * MINUTE), self: b, intent_owner: seen(0) }),
      not(HOUR, 'awaiting_owner'),
    ],
    [
      'rule 15: another’s, the access token ended, the owner seen lately',
      input({ intent: intent(7 * MINUTE), self: b, intent_owner: seen(5 * MINUTE), expires_at: NOW }),
      not(10 * MINUTE, 'awaiting_owner'),
    ],
    [
      'rule 15d: the owner gone for long enough and the access token ended',
      input({ intent: intent(20 * MINUTE), self: b, intent_owner: seen(15 * MINUTE), expires_at: NOW }),
      may,
    ],
    [
      'rule 15d: not while the access token lives',
      input({ intent: intent(20 * MINUTE), self: b, intent_owner: seen(15 * MINUTE) }),
      not(HOUR, 'awaiting_owner'),
    ],
    [
      'rule 15d: an owner that nobody knows: the age of its intent counts',
      input({ intent: intent(10 * MINUTE), self: b, expires_at: null }),
      not(5 * MINUTE, 'awaiting_owner'),
    ],
    [
      'rule 15a: the owner has come back and holds nothing',
      input({ intent: intent(90_000), self: b, intent_owner: seen(0, 2n) }),
      may,
    ],
    [
      'rule 15a: drained by the very boot that made the intent proves nothing',
      input({ intent: intent(90_000), self: b, intent_owner: seen(0, 1n) }),
      not(330_000, 'leased'),
    ],
    [
      'rule 15c: the provider does not rotate',
      input({
        intent: intent(7 * MINUTE),
        self: b,
        intent_owner: seen(0),
        profile: { rotation: 'none', honours_previous: false },
      }),
      may,
    ],
    [
      'rule 15: honouring the previous token is for the owner alone',
      input({
        intent: intent(7 * MINUTE),
        self: b,
        intent_owner: seen(0),
        profile: { rotation: 'rotating', honours_previous: true },
      }),
      not(HOUR, 'awaiting_owner'),
    ],
  ];

  it.each(cases)('%s', (_name, present, verdict) => {
    expect(mayPresent(present)).toEqual(verdict);
  });

  it('is never before the lease has passed, whoever asks (rule 7)', () => {
    const rotation = fc.constantFrom('none', 'rotating', 'one_time', 'unknown');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 89_999 }), fc.boolean(), rotation, (age, own, taste) => {
        const verdict = mayPresent(
          input({
            intent: intent(age),
            expires_at: NOW,
            profile: { rotation: taste as 'none', honours_previous: true },
            intent_owner: seen(DAY, 9n),
            ...(own ? {} : { self: b }),
          }),
        );
        expect(verdict.may).toBe(false);
      }),
    );
  });
});

it('the host of a provider is that of its token endpoint', () => {
  expect(idpHostOf(binding)).toBe('idp.example');
  expect(idpHostOf(null)).toBeNull();
});
