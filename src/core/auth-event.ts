import { z } from 'zod';
import { GRANT_GRADES } from './grant-grade.ts';

/** Everything that can happen to a token. Closed: the database refuses any other. */
export const AUTH_EVENT_TYPES = [
  'connect_started',
  'connect_completed',
  'connect_failed',
  'refresh_succeeded',
  'refresh_failed_transient',
  'refresh_failed_misconfigured',
  'refresh_failed_revoked',
  'refresh_rotation_persistence_failed',
  'rotation_recovered',
  'token_deleted_revoked',
  'token_deleted_admin',
  'token_revoked_upstream',
  'token_revocation_failed',
] as const;

export type AuthEventType = (typeof AUTH_EVENT_TYPES)[number];

/** Who decided that a token is dead: the identity provider, the platform by its own reading, or a person. */
export const DECIDERS = ['idp', 'platform', 'person'] as const;
export type Decider = (typeof DECIDERS)[number];

export const REVOCATION_REASONS = [
  'invalid_grant',
  'no_refresh_token',
  'refresh_expired',
  'rotation_outcome_lost',
  'disconnected',
  'destination_changed',
  'grant_changed',
  'connection_deleted',
] as const;
export type RevocationReason = (typeof REVOCATION_REASONS)[number];

/** The sorts of failure that are not an answer of the token endpoint, as the history names them. */
export const ERROR_CLASSES = [
  'dns',
  'connect',
  'tls',
  'egress_refused',
  'rate_limited',
  'unavailable',
  'timeout',
  'reset',
  'unreadable',
  'ambiguous',
  'server_error',
  'structured',
] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

/** @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1 */
export const TOKEN_TYPE_HINTS = ['refresh_token', 'access_token'] as const;
export type TokenTypeHint = (typeof TOKEN_TYPE_HINTS)[number];

/** `unsupported`: the server names no revocation endpoint. `unreadable`: the token cannot be decrypted, so not be sent. */
export const UPSTREAM_REVOCATIONS = ['requested', 'unsupported', 'unreadable'] as const;
export type UpstreamRevocation = (typeof UPSTREAM_REVOCATIONS)[number];

export const INCIDENT_MARKS = ['opened', 'open', 'closed'] as const;

const timestamp = z.iso.datetime().nullable();

/** Closed, too: a key that is not here cannot be written, so no token or foreign text slips in by way of `detail`. */
export const authEventDetailSchema = z.strictObject({
  return_url: z.string().optional(),
  scope: z.string().nullable().optional(),
  expires_at: timestamp.optional(),
  refresh_expires_at: timestamp.optional(),
  has_refresh_token: z.boolean().optional(),
  /** What was found out about the grant when it was connected. */
  grade: z.array(z.enum(GRANT_GRADES)).optional(),
  before_expires_at: timestamp.optional(),
  before_refresh_expires_at: timestamp.optional(),
  after_expires_at: timestamp.optional(),
  after_refresh_expires_at: timestamp.optional(),
  rotated_refresh: z.boolean().optional(),
  duration_ms: z.number().optional(),
  /** The RFC 6749 `error` code, cut to its charset and 64 characters; never the description. */
  idp_error_code: z.string().optional(),
  http_status: z.number().int().optional(),
  error_class: z.enum(ERROR_CLASSES).optional(),
  ambiguous: z.boolean().optional(),
  reason: z.string().optional(),
  generation: z.string().optional(),
  decided_by: z.enum(DECIDERS).optional(),
  attempt_id: z.string().optional(),
  refresh_token_fingerprint: z.string().nullable().optional(),
  before_refresh_token_fingerprint: z.string().nullable().optional(),
  step: z.string().optional(),
  retry_at: timestamp.optional(),
  /** The token was refused, and is kept until the verdict is confirmed. */
  held: z.boolean().optional(),
  /** Many connections fail at this authorization server; whether this attempt began or ended that. */
  incident: z.enum(INCIDENT_MARKS).optional(),
  /** RFC 7009: which of the two tokens was to be revoked. */
  token_type_hint: z.enum(TOKEN_TYPE_HINTS).optional(),
  /** What becomes of the deleted token at the authorization server. */
  upstream_revocation: z.enum(UPSTREAM_REVOCATIONS).optional(),
});
export type AuthEventDetail = z.infer<typeof authEventDetailSchema>;

/** An event before it has an id and a place in the history. */
export type NewAuthEvent = {
  event_type: AuthEventType;
  actor: string;
  idp_host: string | null;
  detail: AuthEventDetail;
};

export type AuthEvent = NewAuthEvent & {
  id: string;
  /** Tie-breaker: events of one millisecond keep their order. */
  sequence: string;
  occurred_at: string;
  connection_kind: string;
  connection_name: string;
};

/** What stands for a text that is no code. */
export const UNRECOGNISED_CODE = 'unrecognised';

/** The codes that RFC 6749 §5.2 and RFC 8707 §2 give to the token endpoint. */
export const PROTOCOL_CODES: ReadonlySet<string> = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
]);

/** Among them those by which a server says that it does not know the client, or does not let it use the grant. */
export const REFUSES_CLIENT: ReadonlySet<string> = new Set(['invalid_client', 'unauthorized_client']);

const ERROR_CODE = /[^\x20-\x21\x23-\x5B\x5D-\x7E]/g;

/**
 * The `error` code of an answer as it may be stored: RFC 6749 §5.2 characters only, at most 64. A code that reads like
 * a sentence or a token (no code of any known provider is longer or holds a space) becomes `unrecognised`.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 */
export function safeErrorCode(error: string): string {
  const code = error.replace(ERROR_CODE, '');
  return /^[A-Za-z0-9_.:-]{1,64}$/.test(code) ? code : UNRECOGNISED_CODE;
}
