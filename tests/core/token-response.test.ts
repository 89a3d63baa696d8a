import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CLASSES, PROTOCOL_CODES } from '../../src/core/auth-event.ts';
import { REDACTED, Secret } from '../../src/core/redact.ts';
import { refreshOutcome } from '../../src/core/refresh-outcome.ts';
import type { TokenAnswer, TokenReply } from '../../src/core/token-response.ts';
import { readTokenReply } from '../../src/core/token-response.ts';
import type { TokenSet } from '../../src/core/token-set.ts';

const NOW = 1_000_000;
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const YEAR = 31_536_000;

function read(body: unknown, fields: Partial<Extract<TokenReply, { type: 'answer' }>> = {}): TokenAnswer {
  const reply: TokenReply = {
    type: 'answer',
    status: 200,
    media_type: JSON_TYPE,
    retry_after: null,
    body: new Secret(typeof body === 'string' ? body : JSON.stringify(body)),
    ...fields,
  };
  return readTokenReply(reply, NOW);
}

function tokensOf(body: unknown, fields: Partial<Extract<TokenReply, { type: 'answer' }>> = {}): TokenSet {
  const answer = read(body, fields);
  if (answer.type !== 'tokens') throw new Error(JSON.stringify(answer));
  return answer.token_set;
}

const withTokens = (more: object = {}) => tokensOf({ access_token: 'at', ...more });

describe('the tokens of an answer', () => {
  it('are kept whatever else the answer holds (lesson 7)', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.jsonValue(),
        fc.jsonValue(),
        (more, expires, scope) => {
          const fields = { error: undefined, authed_user: undefined, expires_in: expires, scope, token_type: scope };
          expect(tokensOf({ ...more, ...fields, access_token: 'at' }).access_token.reveal()).toBe('at');
        },
      ),
    );
  });

  it('are read whole', () => {
    const fields = { token_type: 'bearer', refresh_token: 'rt', expires_in: 60, refresh_expires_in: 90, scope: 'a b' };
    const { access_token, refresh_token, ...facts } = withTokens(fields);
    expect([access_token.reveal(), refresh_token?.reveal()]).toEqual(['at', 'rt']);
    expect(facts).toEqual({
      token_type: 'bearer',
      expires_at: NOW + 60_000,
      refresh_expires_at: NOW + 90_000,
      scope: 'a b',
      received_at: NOW,
    });
  });

  it('alone are enough: what is not told is not known', () => {
    const { access_token, ...facts } = withTokens();
    expect(access_token.reveal()).toBe('at');
    expect(facts).toEqual({
      token_type: 'Bearer',
      expires_at: null,
      refresh_expires_at: null,
      scope: null,
      received_at: NOW,
    });
    expect('refresh_token' in facts).toBe(false);
  });

  it.each([
    [3600, 3600],
    ['3600', 3600],
    [' 3600 ', 3600],
    ['1e3', 1000],
    [3599.5, 3599.5],
    [0.0004, 0],
    [10 * YEAR, 10 * YEAR],
    [10 * YEAR + 1, null],
    [0, null],
    ['0', null],
    [-1, null],
    ['-1', null],
    [-0.5, null],
    ['', null],
    ['  ', null],
    ['abc', null],
    ['60s', null],
    ['Infinity', null],
    [1e300, null],
    [1_795_000_000, null],
    [null, null],
    [true, null],
    [[60], null],
    [{ seconds: 60 }, null],
  ])('with expires_in %j live %s seconds (lesson 10)', (expires_in, seconds) => {
    const end = seconds === null ? null : NOW + seconds * 1000;
    expect(withTokens({ expires_in }).expires_at).toBe(end);
    expect(withTokens({ refresh_expires_in: expires_in }).refresh_expires_at).toBe(end);
  });

  it.each([
    [{ refresh_expires_in: 1800 }, 1800],
    [{ refresh_token_expires_in: '1800' }, 1800],
    [{ x_refresh_token_expires_in: 8_726_400 }, 8_726_400],
    [{ refresh_expires_in: 'never', refresh_token_expires_in: 60 }, 60],
    [{ refresh_expires_in: 30, refresh_token_expires_in: 60 }, 30],
    [{ refresh_expires_in: 0 }, null],
    [{}, null],
  ])('disclose by %j a refresh lifetime of %s seconds (Keycloak, most others, Intuit)', (fields, seconds) => {
    expect(withTokens(fields).refresh_expires_at).toBe(seconds === null ? null : NOW + seconds * 1000);
  });

  it.each([
    ['a b', 'a b'],
    [['a', 'b'], 'a b'],
    [['a', 1, '', null, 'b'], 'a b'],
    [[], null],
    [[1], null],
    ['', null],
    ['a\u0000\nb', 'ab'],
    [['a\u0007', 'b'], 'a b'],
    ['\u0000', null],
    ['x\uD800', 'x\uFFFD'],
    ['s'.repeat(8_192), 's'.repeat(8_192)],
    ['s'.repeat(8_193), null],
    [Array.from({ length: 3_000 }, () => 'abc'), null],
    [null, null],
    [7, null],
    [{ a: 1 }, null],
  ])('with scope %j have scope %j', (scope, expected) => {
    expect(withTokens({ scope }).scope).toBe(expected);
  });

  it.each([
    ['bearer', 'bearer'],
    ['N_A', 'N_A'],
    ['\u0000', 'Bearer'],
    ['t'.repeat(257), 'Bearer'],
    ['', 'Bearer'],
    [null, 'Bearer'],
    [1, 'Bearer'],
  ])('with token_type %j are of type %j', (token_type, expected) => {
    expect(withTokens({ token_type }).token_type).toBe(expected);
  });

  it.each([[null], [''], [7], [{}], [['rt']]])('hold no refresh token where it reads %j', (refresh_token) => {
    expect('refresh_token' in withTokens({ refresh_token })).toBe(false);
  });

  it('are found where Slack nests them, unless there are others outside', () => {
    const nested = { ok: true, authed_user: { access_token: 'inner', refresh_token: 'rt' } };
    expect(tokensOf(nested).access_token.reveal()).toBe('inner');
    expect(tokensOf({ ...nested, access_token: 'outer' }).access_token.reveal()).toBe('outer');
    expect(read({ authed_user: 'inner' }).type).toBe('perhaps_processed');
    expect(read({ authed_user: [{ access_token: 'inner' }] }).type).toBe('perhaps_processed');
    expect(read({ authed_user: null }).type).toBe('perhaps_processed');
  });

  it.each([
    ['access_token=a%2Bt&token_type=bearer&expires_in=60', FORM_TYPE],
    ['access_token=a%2Bt&expires_in=60', ''],
    ['\n access_token=a%2Bt&expires_in=60 \n', 'text/plain'],
    ['expires_in=60&access_token=a%2Bt&note=<b> c', FORM_TYPE],
  ])('are read from the form %j of type %j (GitHub)', (body, media_type) => {
    const tokens = tokensOf(body, { media_type });
    expect(tokens.access_token.reveal()).toBe('a+t');
    expect(tokens.expires_at).toBe(NOW + 60_000);
  });

  it.each(['text/html', 'text/plain', '', 'application/vnd.api+json', FORM_TYPE])(
    'are read from JSON that calls itself %j, also with a byte order mark',
    (media_type) => {
      expect(tokensOf('\uFEFF {"access_token":"at"}\r\n', { media_type }).access_token.reveal()).toBe('at');
    },
  );

  it('of a key given twice are the last ones', () => {
    const twice = '{"access_token":"one","expires_in":1,"access_token":"two","expires_in":2}';
    expect(tokensOf(twice).access_token.reveal()).toBe('two');
    expect(tokensOf(twice).expires_at).toBe(NOW + 2_000);
  });

  it('win over an error beside them in an answer of success, and over any status without one', () => {
    const both = { access_token: 'at', error: 'invalid_grant' };
    expect(read(both).type).toBe('tokens');
    expect(read(both, { status: 299 }).type).toBe('tokens');
    expect(read(both, { status: 400 })).toMatchObject({ type: 'error', error: 'invalid_grant' });
    expect(read(both, { status: 400 })).not.toHaveProperty('token_set');
    for (const status of [201, 299, 400, 401, 500, 504]) {
      expect(read({ access_token: 'at' }, { status }).type).toBe('tokens');
    }
  });

  it('are not taken from a redirect: it speaks for another address', () => {
    for (const status of [300, 302, 307, 308, 399]) {
      expect(read({ access_token: 'at' }, { status })).toEqual({
        type: 'perhaps_processed',
        error_class: 'unreadable',
        status,
        retry_after: null,
      });
    }
  });
});

const error = (code: string, status: number) => ({ type: 'error', error: code, status, retry_after: 5 });
const perhaps = (status: number) => ({
  type: 'perhaps_processed',
  error_class: status >= 500 ? 'server_error' : 'unreadable',
  status,
  retry_after: 5,
});
const notProcessed = (error_class: string, status: number) => ({
  type: 'not_processed',
  error_class,
  status,
  retry_after: 5,
});

describe('an answer without tokens (lesson 9)', () => {
  const unreadable: [string, unknown][] = [
    ['nothing', ''],
    ['blanks', ' \n'],
    ['a web page', '<!doctype html><title>Sign in</title>'],
    ['a web page that mentions a token', '<a href="?access_token=x&error=invalid_grant">'],
    ['cut-off JSON', '{"access_token":"a'],
    ['null', 'null'],
    ['a number', '7'],
    ['a text', '"invalid_grant"'],
    ['a list', [{ error: 'invalid_grant' }]],
    ['a list of errors', { errors: [{ message: 'x' }] }],
    ['an empty object', {}],
    ['an error object (Facebook)', { error: { message: 'x', type: 'OAuthException' } }],
    ['an empty error', { error: '' }],
    ['a number for an error', { error: 400 }],
    ['a sentence of a framework (Spring)', { status: 400, error: 'Bad Request', path: '/token' }],
    ['a sentence of a firewall', { error: 'Your request token abc was blocked.' }],
    ['an endless code', { error: 'e'.repeat(65) }],
    ['an access token that is none', { access_token: '', refresh_token: 'rt' }],
    ['an access token object', { access_token: { value: 'at' } }],
    ['plain words', 'internal error'],
    ['words with a sign', 'status is=bad'],
    ['binary', '\u0000\u0001\uFFFD'],
    ['deep nesting', '['.repeat(100_000)],
    ['a planted prototype', '{"__proto__":{"access_token":"at","error":"invalid_grant"}}'],
  ];

  it.each(unreadable)('proves nothing when it is %s', (_name, body) => {
    for (const status of [200, 204, 302, 400, 401, 403, 404, 408, 409, 413, 500, 501, 502, 503, 504, 599]) {
      const expected = status === 503 ? notProcessed('unavailable', 503) : perhaps(status);
      expect(read(body, { status, retry_after: 5 })).toEqual(expected);
    }
    expect(read(body, { status: 429, retry_after: 5 })).toEqual(notProcessed('rate_limited', 429));
    expect(read(body, { status: 425, retry_after: 5 })).toEqual(notProcessed('unavailable', 425));
  });

  it('of 503 proves something only with a time to come back at', () => {
    expect(read('', { status: 503 })).toEqual({ ...perhaps(503), retry_after: null });
    expect(read('', { status: 503, retry_after: 0 })).toMatchObject({ type: 'not_processed', retry_after: 0 });
    expect(read('', { status: 502, retry_after: 5 })).toEqual(perhaps(502));
  });

  it.each([...PROTOCOL_CODES])('with %s is believed, whatever the status but a redirect', (code) => {
    for (const status of [200, 204, 400, 401, 403, 404, 425, 429, 500, 502, 503, 504]) {
      expect(read({ error: code }, { status, retry_after: 5 })).toEqual(error(code, status));
      expect(read(`error=${code}&error_description=x`, { status, media_type: FORM_TYPE, retry_after: 5 })).toEqual(
        error(code, status),
      );
    }
    expect(read({ error: code }, { status: 302, retry_after: 5 })).toEqual(perhaps(302));
  });

  it.each(['temporarily_unavailable', 'server_error', 'bad_refresh_token', 'x.y:z-1', 'E'.repeat(64)])(
    'with another code, %s, is believed unless a gateway gave it for a server that may still be at work (rule 8)',
    (code) => {
      for (const status of [200, 400, 408, 429, 500, 503]) {
        expect(read({ error: code }, { status, retry_after: 5 })).toEqual(error(code, status));
      }
      for (const status of [502, 504])
        expect(read({ error: code }, { status, retry_after: 5 })).toEqual(perhaps(status));
    },
  );

  it('loses control characters and quotes of its code', () => {
    expect(read({ error: 'invalid_\u0000gr"ant' }, { status: 400, retry_after: 5 })).toEqual(
      error('invalid_grant', 400),
    );
  });

  it.each([
    [{ type: 'not_sent', error_class: 'dns' }, 'not_processed'],
    [{ type: 'not_sent', error_class: 'egress_refused' }, 'not_processed'],
    [{ type: 'unknown', error_class: 'reset' }, 'perhaps_processed'],
    [{ type: 'unknown', error_class: 'timeout' }, 'perhaps_processed'],
  ] as const)('that is none, %j, is %s', (reply, type) => {
    const { error_class } = reply;
    expect(readTokenReply(reply, NOW)).toEqual({ type, error_class, status: null, retry_after: null });
  });
});

describe('any status with any body', () => {
  const MARK = 'SECRET-of-the-body';
  const value = fc.oneof(fc.constant(MARK), fc.jsonValue(), fc.constantFrom(...PROTOCOL_CODES, `a ${MARK}`));
  const field = fc.constantFrom('access_token', 'refresh_token', 'error', 'error_description', 'scope', 'expires_in');
  const body = fc.oneof(
    fc.string().map((text) => text + MARK),
    fc.string({ unit: 'binary' }),
    fc.dictionary(field, value).map((fields) => JSON.stringify(fields)),
    fc.dictionary(field, fc.string()).map((fields) => new URLSearchParams(fields).toString()),
    fc.jsonValue().map((json) => JSON.stringify(json)),
  );
  const reply = fc.record({
    type: fc.constant('answer' as const),
    status: fc.oneof(fc.integer({ min: 200, max: 599 }), fc.constantFrom(200, 302, 400, 401, 425, 429, 502, 503, 504)),
    media_type: fc.constantFrom('', JSON_TYPE, FORM_TYPE, 'text/html', 'application/octet-stream'),
    retry_after: fc.option(fc.nat(604_800)),
    body: body.map((text) => new Secret(text)),
  });
  const context = fc.record({
    profile: fc.constantFrom({ dead_grant_codes: [] }, { dead_grant_codes: ['bad_refresh_token'] }),
    ambiguous_before: fc.boolean(),
    deadline_passed: fc.boolean(),
  });

  it('falls into the table, and none of it is told beside the tokens and the name of a code', () => {
    fc.assert(
      fc.property(reply, context, (answer, about) => {
        const outcome = refreshOutcome(readTokenReply(answer, NOW), about);
        if (outcome.type === 'success') {
          expect(outcome.token_set.access_token.reveal()).not.toBe('');
          const { scope, token_type, ...rest } = outcome.token_set;
          expect(JSON.stringify(rest)).not.toContain(MARK);
          expect(JSON.stringify(rest)).toContain(REDACTED);
          return;
        }
        const code = outcome.idp_error_code;
        expect(code === null || /^[\w.:-]{1,64}$/.test(code)).toBe(true);
        expect(Object.values(outcome).filter((one) => one !== code && String(one).includes(MARK))).toEqual([]);
        if (outcome.type === 'transient') expect(ERROR_CLASSES).toContain(outcome.error_class);
        // Only a structured answer ends a grant or speaks about the client.
        if (outcome.type !== 'transient') expect(code).not.toBeNull();
        // What closes an intent is a code, or a status that proves that nothing was done.
        if (outcome.type === 'transient' && !outcome.ambiguous && code === null) {
          expect([425, 429, 503]).toContain(outcome.http_status);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('makes no tokens of a text that has none', () => {
    fc.assert(
      fc.property(reply, (answer) => {
        fc.pre(!answer.body.reveal().includes('access_token'));
        expect(readTokenReply(answer, NOW).type).not.toBe('tokens');
      }),
    );
  });
});
