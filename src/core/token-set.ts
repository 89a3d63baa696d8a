import type { Secret } from './redact.ts';

/** Milliseconds since the epoch. On the wire and in the database the same instant is an RFC 3339 timestamp. */
export type Instant = number;

/**
 * The tokens of one answer, as received. Names are RFC 6749's.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.1
 */
export type TokenSet = {
  access_token: Secret;
  token_type: string;
  /** Absent when the answer did not hold one: the old one then lives on. */
  refresh_token?: Secret;
  /** null: not disclosed. Unknown expiry is not expired. */
  expires_at: Instant | null;
  /** null: not disclosed, or disclosed as unlimited (0). */
  refresh_expires_at: Instant | null;
  /** null: not repeated in the answer, so as asked for. */
  scope: string | null;
  received_at: Instant;
};

/** What is known of a stored token without decrypting it. */
export type TokenFacts = {
  token_type: string;
  scope: string | null;
  expires_at: Instant | null;
  refresh_expires_at: Instant | null;
  /** The last refresh did not move `refresh_expires_at`: it is a wall clock from the consent. */
  refresh_deadline_fixed: boolean;
  has_refresh_token: boolean;
  refresh_token_fingerprint: string | null;
  /** When the access token was received; with `expires_at` it gives its lifetime. */
  received_at: Instant;
  /** When the refresh token was last used with success, or granted: the anchor of `oauth2_refresh_max_lifetime`. */
  refresh_used_at: Instant;
  last_refreshed_at: Instant | null;
  authenticated_by: string | null;
  authenticated_at: Instant | null;
};

export function isExpired(token: Pick<TokenFacts, 'expires_at'>, now: Instant): boolean {
  return token.expires_at !== null && token.expires_at <= now;
}
