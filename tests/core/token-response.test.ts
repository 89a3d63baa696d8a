import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import type { TokenAnswer, TokenReply } from '../../src/core/token-response.ts';
import { readTokenReply } from '../../src/core/token-response.ts';

const NOW = 1_000_000;

function read(body: string, fields: Partial<Extract<TokenReply, { type: 'answer' }>> = {}): TokenAnswer {
  const reply: TokenReply = {
    type: 'answer',
    status: 200,
    media_type: 'application/json',
    retry_after: null,
    body: new Secret(body),
    ...fields,
  };
  return readTokenReply(reply, NOW);
}

describe('reading a reply of the token endpoint', () => {
  it('keeps the access token whatever else the answer holds (lesson 7)', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.jsonValue(),
        fc.jsonValue(),
        (more, expires, scope) => {
          const fields = { error: undefined, authed_user: undefined, expires_in: expires, scope, token_type: scope };
          const answer = read(JSON.stringify({ ...more, ...fields, access_token: 'at' }));
          expect(answer.type === 'tokens' && answer.token_set.access_token.reveal()).toBe('at');
        },
      ),
    );
  });

  it('never throws, and takes no text for tokens that has none', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 200, max: 599 }), (body, status) => {
        fc.pre(!body.includes('access_token'));
        expect(read(body, { status }).type).not.toBe('tokens');
      }),
    );
  });

  it('reads a disclosed refresh lifetime, and 0 as none (Keycloak)', () => {
    const deadline = (fields: object) => {
      const answer = read(JSON.stringify({ access_token: 'at', ...fields }));
      return answer.type === 'tokens' ? answer.token_set.refresh_expires_at : 'no tokens';
    };
    expect(deadline({ refresh_expires_in: 1800 })).toBe(NOW + 1_800_000);
    expect(deadline({ refresh_token_expires_in: '1800' })).toBe(NOW + 1_800_000);
    expect(deadline({ refresh_expires_in: 0 })).toBeNull();
    expect(deadline({})).toBeNull();
  });

  it('lets no sentence or token pass for an error code', () => {
    expect(read('{"error":"your token abc is bad"}', { status: 400 })).toMatchObject({ error: 'unrecognised' });
  });

  it.each([
    [{ type: 'not_sent', error_class: 'dns' }, 'not_processed'],
    [{ type: 'unknown', error_class: 'reset' }, 'perhaps_processed'],
  ] as const)('takes %j as %s', (reply, type) => {
    expect(readTokenReply(reply, NOW).type).toBe(type);
  });
});
