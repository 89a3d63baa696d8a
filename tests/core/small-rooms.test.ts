import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AUTH_EVENT_TYPES, authEventDetailSchema, safeErrorCode } from '../../src/core/auth-event.ts';
import { formatDuration, parseDuration } from '../../src/core/duration.ts';
import { AppError, ERROR_TABLE, type ErrorCode, isAppError, toAppError } from '../../src/core/errors.ts';
import { apiKeyActor } from '../../src/core/principal.ts';
import { PROVIDER_PROFILES, providerProfile } from '../../src/core/provider-profile.ts';
import { REDACTED, Secret } from '../../src/core/redact.ts';
import { isExpired } from '../../src/core/token-set.ts';
import { MAX_TOOL_NAME, publishedToolName } from '../../src/core/tool-name.ts';

const DAY = 86_400_000;

describe('a duration', () => {
  it.each([
    ['60d', 60 * DAY],
    ['24h', DAY],
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['45s', 45_000],
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['1d1h1m1s1ms', 90_061_001],
    ['36500d', 36_500 * DAY],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '0s',
    '0',
    '5',
    '-1s',
    '1 h',
    '1H',
    'h',
    '1h ',
    ' 1h',
    '1.h',
    '.5h',
    '1h-',
    '36501d',
    '1e3s',
    `${'9'.repeat(400)}d`,
  ])('%o is none: never zero by accident', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it.each([
    [250, '250ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [45_000, '45s'],
    [60_000, '1m0s'],
    [300_000, '5m0s'],
    [3_600_000, '1h0m0s'],
    [5_430_000, '1h30m30s'],
    [90_000_000, '25h0m0s'],
  ])('%i ms is written %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_000 * DAY }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe('a secret', () => {
  it('prints, serialises and inspects as [REDACTED] only', () => {
    const secret = new Secret('hush');
    const seen = [
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [secret] }),
      String(secret),
    ];
    for (const text of seen) {
      expect(text).toContain(REDACTED);
      expect(text).not.toContain('hush');
    }
    expect(Object.keys(secret)).toEqual([]);
    expect(secret.reveal()).toBe('hush');
  });

  it('equals another of the same value', () => {
    expect(new Secret('a').equals(new Secret('a'))).toBe(true);
    expect(new Secret('a').equals(new Secret('b'))).toBe(false);
  });
});

describe('the error code of an answer', () => {
  it.each(['invalid_grant', 'AADSTS50173', 'urn:x:y', 'a.b-c', 'x'.repeat(64)])('%s is stored as it is', (code) => {
    expect(safeErrorCode(code)).toBe(code);
  });

  it.each(['', 'two words', 'x'.repeat(65), '<b>', 'a/b', 'ümlaut ist nicht'])('%o is not recognised', (code) => {
    expect(safeErrorCode(code)).toBe('unrecognised');
  });

  it('drops what RFC 6749 forbids before it judges', () => {
    expect(safeErrorCode('invalid"_grant\n')).toBe('invalid_grant');
  });

  it('is never longer than 64 characters nor anything but a code', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(safeErrorCode(text)).toMatch(/^[A-Za-z0-9_.:-]{1,64}$/);
      }),
    );
  });
});

describe('the detail of an event', () => {
  it('is closed: a field that nobody declared cannot be written (lesson 21)', () => {
    expect(authEventDetailSchema.safeParse({ reason: 'x', ambiguous: true }).success).toBe(true);
    expect(authEventDetailSchema.safeParse({ error_description: 'x' }).success).toBe(false);
    expect(authEventDetailSchema.safeParse({ error_class: 'odd' }).success).toBe(false);
    expect(authEventDetailSchema.safeParse({ expires_at: 'tomorrow' }).success).toBe(false);
    expect(new Set(AUTH_EVENT_TYPES).size).toBe(13);
  });
});

describe('the table of errors', () => {
  it.each(Object.entries(ERROR_TABLE))('%s has its status and its exit code', (code, row) => {
    const error = new AppError(code as ErrorCode, 'what to do');
    expect(error.status).toBe(row.status);
    expect(error.exitCode).toBe(row.exit);
    expect(row.title).not.toBe('');
    expect(row.status).toBeGreaterThanOrEqual(400);
    expect(row.exit).toBeGreaterThan(0);
  });

  it('carries issues, a pause and a cause, and none of them unless given', () => {
    const cause = new Error('driver');
    const issues = [{ path: 'a', message: 'b' }];
    const error = new AppError('invalid_config', 'text', { cause, issues, retry_after: 3 });
    expect(error).toMatchObject({ name: 'AppError', message: 'text', issues, retry_after: 3, cause });
    const bare = new AppError('internal', 'text');
    expect(bare.issues).toEqual([]);
    expect(bare.retry_after).toBeUndefined();
    expect('cause' in bare).toBe(false);
  });

  it('shows nothing of a foreign error', () => {
    const foreign = new Error('password=hush');
    const shown = toAppError(foreign);
    expect(shown).toMatchObject({ code: 'internal', cause: foreign });
    expect(shown.message).toBe('Something failed inside the server. The log has the details; try again.');
    expect(isAppError(foreign)).toBe(false);
    expect(toAppError(shown)).toBe(shown);
  });
});

describe('the profile of a provider', () => {
  it.each([
    [undefined, 'https://oauth2.googleapis.com/token', 'google'],
    [undefined, 'https://acme.auth0.com/token', 'auth0'],
    [undefined, 'https://auth0.com/token', 'unknown'],
    [undefined, 'https://evil-github.com/token', 'unknown'],
    [undefined, 'https://github.com/login/oauth/access_token', 'github'],
    [undefined, 'https://sub.github.com/token', 'unknown'],
    [undefined, null, 'unknown'],
    ['keycloak', 'https://github.com/token', 'keycloak'],
    ['nobody', 'https://slack.com/api', 'slack'],
    ['nobody', null, 'unknown'],
  ])('named %s at %s is %s', (name, url, id) => {
    expect(providerProfile(name, url).id).toBe(id);
  });

  it('assumes the strictest of whom it does not know', () => {
    expect(providerProfile(undefined, null)).toMatchObject({
      id: 'unknown',
      title: 'Unknown provider',
      source: 'default',
      hosts: [],
      rotation: 'unknown',
      honours_previous: false,
      dead_grant_codes: [],
      scope_for_refresh_token: null,
      authorize_params: {},
      accepts_resource: true,
      scope_on_refresh: false,
    });
  });

  it('says of each what is known, as data', () => {
    const facts = PROVIDER_PROFILES.map(({ id, rotation, dead_grant_codes, scope_for_refresh_token }) =>
      [id, rotation, dead_grant_codes.join(), scope_for_refresh_token].join(' '),
    );
    expect(facts).toEqual([
      'keycloak unknown  offline_access',
      'auth0 unknown  offline_access',
      'okta unknown  offline_access',
      'google none  ',
      'salesforce unknown  refresh_token',
      'entra unknown  offline_access',
      'blackbaud one_time  ',
      'github one_time bad_refresh_token ',
      'gitlab one_time  ',
      'slack one_time invalid_refresh_token ',
      'notion one_time  ',
      'atlassian rotating  offline_access',
      'xero unknown  offline_access',
      'airtable unknown  ',
      'docusign unknown  ',
      'deel unknown  ',
      'meta-ads unknown  ',
      'reddit unknown  ',
      'hydra one_time  offline_access',
      'doorkeeper rotating  ',
      'cognito unknown  ',
    ]);
    expect(providerProfile('entra', null)).toMatchObject({ accepts_resource: false, scope_on_refresh: true });
    for (const { hosts, id } of PROVIDER_PROFILES) {
      for (const host of hosts) {
        const example = host.startsWith('.') ? `acme${host}` : host;
        expect(providerProfile(undefined, `https://${example}/token`).id).toBe(id);
      }
    }
  });
});

describe('an expiry', () => {
  it('that is unknown is not expired, and one that is reached is (lesson 10)', () => {
    expect(isExpired({ expires_at: null }, 5)).toBe(false);
    expect(isExpired({ expires_at: 5 }, 5)).toBe(true);
    expect(isExpired({ expires_at: 6 }, 5)).toBe(false);
  });
});

describe('a published tool name', () => {
  it('is the connection and the tool, where that fits', () => {
    expect(publishedToolName('acme', 'list_users')).toBe('acme__list_users');
    expect(publishedToolName('a', 'x'.repeat(57))).toBe(`a__${'x'.repeat(57)}`);
  });

  it('is cut with a stable mark where it does not fit or is not safe (lesson 42)', () => {
    const long = publishedToolName('acme', 'x'.repeat(60));
    expect(long).toHaveLength(MAX_TOOL_NAME);
    expect(long).toMatch(/^acme__x+_[0-9a-f]{8}$/);
    expect(publishedToolName('acme', 'x'.repeat(60))).toBe(long);
    expect(publishedToolName('acme', 'x'.repeat(61))).not.toBe(long);
    expect(publishedToolName('acme', 'a b')).toMatch(/^acme__a_b_[0-9a-f]{8}$/);
    expect(publishedToolName('acme', 'a b')).not.toBe(publishedToolName('acme', 'a/b'));
  });
});

it('an API key is named as the actor that it is', () => {
  expect(apiKeyActor('ci')).toBe('apikey:ci');
});
