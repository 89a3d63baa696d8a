import { describe, expect, it } from 'vitest';
import { eventHint } from '../../portal/src/text/event-hint.ts';
import { actorLabel, EVENT_LABELS, refreshReasonWords } from '../../portal/src/text/labels.ts';
import { durationText, localSentence, relativeTime } from '../../portal/src/text/time.ts';
import { AUTH_EVENT_TYPES, type AuthEvent, REFRESH_REASONS } from '../../src/contract/schemas.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const distance = (seconds: number) => relativeTime(new Date(NOW + seconds * 1000).toISOString(), NOW);

function event(event_type: AuthEvent['event_type'], detail: AuthEvent['detail'] = {}): AuthEvent {
  return {
    ...{ id: '1', sequence: '1', occurred_at: '2026-11-23T12:00:00.000Z', connection_kind: 'mcp' },
    ...{ connection_name: 'x', actor: 'system:tool-call', idp_host: 'idp.example', event_type, detail },
  };
}

describe('relative time', () => {
  it.each([
    [0, 'just now'],
    [-4, 'just now'],
    [59, 'in 59 seconds'],
    [299, 'in 4 minutes'],
    [-3600, '1 hour ago'],
    [86400 * 12, 'in 12 days'],
    [-86400 * 800, '2 years ago'],
  ])('%d seconds away is «%s»', (seconds, text) => {
    expect(distance(seconds)).toBe(text);
  });

  it('never promises more time than there is', () => {
    expect(distance(7199)).toBe('in 1 hour');
  });

  it('says so when the instant cannot be read', () => {
    expect(relativeTime('soon', NOW)).toBe('at an unknown time');
  });

  it('turns the instants in a sentence of the server into local ones', () => {
    expect(localSentence('Failing since 2026-11-23T12:00:00.000Z (dns).')).toMatch(
      /^Failing since \w+, 2\d Nov 2026,? .*\(dns\)\.$/,
    );
  });

  it('gives short durations in milliseconds', () => {
    expect([durationText(312.4), durationText(12_400)]).toEqual(['312 ms', '12.4 s']);
  });
});

describe('the words of the history', () => {
  it('has a label and a hint that does not fail for every event, with no detail at all', () => {
    for (const type of AUTH_EVENT_TYPES) {
      expect(EVENT_LABELS[type].label).not.toBe('');
      expect(() => eventHint(event(type))).not.toThrow();
    }
  });

  it('has words for every reason of a refresh and shows an unknown one as it is', () => {
    for (const reason of REFRESH_REASONS) expect(refreshReasonWords(reason)).not.toBe(reason);
    expect(refreshReasonWords('constructor')).toBe('constructor');
  });

  it('tells the rejection of the provider from a verdict of the platform (lesson 18)', () => {
    const hint = (decided_by: 'idp' | 'platform') =>
      eventHint(event('token_deleted_revoked', { reason: 'invalid_grant', decided_by }));
    expect(hint('idp')).toMatch(/decided by the identity provider$/);
    expect(hint('platform')).toMatch(/decided by this platform$/);
  });

  it('names what happened and when it is tried again', () => {
    const detail = { error_class: 'rate_limited', http_status: 429, retry_at: '2026-11-23T12:05:00.000Z' } as const;
    expect(eventHint(event('refresh_failed_transient', detail))).toMatch(
      /^too many requests · HTTP 429 · next attempt /,
    );
    expect(eventHint(event('refresh_failed_transient', { idp_error_code: 'invalid_grant', held: true }))).toBe(
      'invalid_grant · refused; the token is kept until the refusal is confirmed',
    );
    expect(eventHint(event('refresh_failed_transient', { error_class: 'timeout', incident: 'opened' }))).toContain(
      'many connections fail at the identity provider: taken for one incident',
    );
    expect(eventHint(event('refresh_succeeded', { incident: 'closed' }))).toContain('the incident is over');
    expect(eventHint(event('connect_failed', { step: 'token_exchange', idp_error_code: 'invalid_client' }))).toBe(
      'invalid_client · while: token exchange',
    );
  });

  it('warns of a connect that brought no refresh token', () => {
    expect(eventHint(event('connect_completed', { has_refresh_token: false }))).toBe('no refresh token was given');
  });

  it('names actors as a person would', () => {
    expect(actorLabel('system:background-refresh')).toBe('Background refresh');
    expect(actorLabel('apikey:ci')).toBe('API key ci');
    expect(actorLabel('dana@example.com')).toBe('dana@example.com');
  });
});
