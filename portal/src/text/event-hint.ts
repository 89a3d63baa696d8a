import type { AuthEvent, AuthEventType, Decider } from '../api/wire.ts';
import { ERROR_CLASS_WORDS, GRADE_WORDS, REVOCATION_WORDS, refreshReasonWords } from './labels.ts';
import { absoluteTime, durationText } from './time.ts';

type Detail = AuthEvent['detail'];
type Part = string | false | null | undefined;

function hint(...parts: Part[]): string | null {
  const text = parts.filter(Boolean).join(' · ');
  return text === '' ? null : text;
}

function wordsOf<K extends string>(record: Record<K, string>, key: string | undefined): string | undefined {
  return key !== undefined && Object.hasOwn(record, key) ? record[key as K] : key;
}

function errorWords(detail: Detail): Part {
  if (detail.idp_error_code) return detail.idp_error_code;
  return detail.error_class && ERROR_CLASS_WORDS[detail.error_class];
}

const httpStatus = (detail: Detail): Part => detail.http_status !== undefined && `HTTP ${detail.http_status}`;
const took = (detail: Detail): Part => detail.duration_ms !== undefined && durationText(detail.duration_ms);
const retry = (detail: Detail): Part => detail.retry_at && `next attempt ${absoluteTime(detail.retry_at)}`;
const because = (detail: Detail): Part => detail.reason && refreshReasonWords(detail.reason);

const DECIDED_BY: Record<Decider, string> = {
  idp: 'decided by the identity provider',
  platform: 'decided by this platform',
  person: 'decided by a person',
};
const decidedBy = (detail: Detail): Part => detail.decided_by && DECIDED_BY[detail.decided_by];

const tokenSort = (detail: Detail): Part => detail.token_type_hint?.replaceAll('_', ' ');

/** Why a token that is dropped here may live on at its provider. */
const NOT_REVOKED: Record<string, string> = {
  retried: 'not confirmed yet',
  given_up: 'given up after 30 days',
  unreadable: 'given up after 30 days: it cannot be decrypted here, so not be sent',
  unsupported: 'the identity provider does not revoke it',
  connected_again: 'left alone: revoking it could end the newer grant of this connection',
};

const INCIDENT_WORDS: Record<NonNullable<Detail['incident']>, string> = {
  opened: 'with this one, many connections fail at the identity provider: taken for one incident',
  open: 'many connections fail at the identity provider',
  closed: 'the identity provider answers again: the incident is over',
};
const incident = (detail: Detail): Part => detail.incident && INCIDENT_WORDS[detail.incident];

const HINTS: Record<AuthEventType, (event: AuthEvent) => string | null> = {
  connect_started: ({ idp_host }) => hint(idp_host && `consent asked for at ${idp_host}`),
  connect_completed: ({ detail }) =>
    hint(
      ...(detail.grade ?? []).map((grade) => GRADE_WORDS[grade]),
      !detail.grade && detail.has_refresh_token === false && 'no refresh token was given',
      detail.scope && `scope: ${detail.scope}`,
      detail.expires_at && `access token until ${absoluteTime(detail.expires_at)}`,
    ),
  connect_failed: ({ detail }) =>
    hint(
      errorWords(detail) ?? detail.reason?.replaceAll('_', ' '),
      httpStatus(detail),
      detail.step && `while: ${detail.step.replaceAll('_', ' ')}`,
    ),
  refresh_succeeded: ({ detail }) =>
    hint(because(detail), detail.rotated_refresh && 'refresh token rotated', incident(detail), took(detail)),
  refresh_failed_transient: ({ detail }) =>
    hint(
      detail.step === 'interrupted' ? 'the server ended before the answer came' : errorWords(detail),
      httpStatus(detail),
      detail.held && 'refused; the token is kept until the refusal is confirmed',
      incident(detail),
      retry(detail),
    ),
  refresh_failed_misconfigured: ({ detail }) =>
    hint(errorWords(detail), 'correct the client id, secret or scope', incident(detail), retry(detail)),
  refresh_failed_revoked: ({ detail }) =>
    hint(errorWords(detail), httpStatus(detail), decidedBy(detail), incident(detail)),
  refresh_rotation_persistence_failed: () =>
    hint('the database could not be written; the token waits in the data directory'),
  rotation_recovered: ({ detail }) =>
    hint('stored from the data directory', detail.after_expires_at && `until ${absoluteTime(detail.after_expires_at)}`),
  token_deleted_revoked: ({ detail }) => hint(wordsOf(REVOCATION_WORDS, detail.reason), decidedBy(detail)),
  token_deleted_admin: ({ detail }) =>
    hint(
      wordsOf(REVOCATION_WORDS, detail.reason),
      detail.upstream_revocation === 'unsupported' && 'the identity provider offers no revocation',
      detail.upstream_revocation === 'unreadable' && 'not revoked there: the stored token could not be decrypted',
    ),
  token_revoked_upstream: ({ idp_host, detail }) => hint(tokenSort(detail), idp_host && `at ${idp_host}`),
  token_revocation_failed: ({ idp_host, detail }) =>
    hint(
      tokenSort(detail),
      wordsOf(NOT_REVOKED, detail.reason),
      errorWords(detail),
      httpStatus(detail),
      idp_host && `at ${idp_host}`,
      retry(detail),
    ),
};

/** The one thing worth knowing about this event beyond its label. */
export function eventHint(event: AuthEvent): string | null {
  return HINTS[event.event_type](event);
}
