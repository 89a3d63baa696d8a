import type { ErrorClass } from './auth-event.ts';
import { PROTOCOL_CODES, safeErrorCode, UNRECOGNISED_CODE } from './auth-event.ts';
import { Secret } from './redact.ts';
import type { Instant, TokenSet } from './token-set.ts';

/** What came back from a token endpoint: an answer as it stands, or how the exchange broke. */
export type TokenReply =
  | {
      type: 'answer';
      status: number;
      /** Lower-case media type without parameters; '' when there was none. */
      media_type: string;
      /** Seconds, already read from either form of the header; null when absent or unreadable. */
      retry_after: number | null;
      /** The body, which may hold tokens: at most 1 MiB. */
      body: Secret;
    }
  /** Provably not processed: nothing left this machine. */
  | { type: 'not_sent'; error_class: Extract<ErrorClass, 'dns' | 'connect' | 'tls' | 'egress_refused'> }
  /** Perhaps processed: bytes left, and no readable answer came. */
  | { type: 'unknown'; error_class: Extract<ErrorClass, 'timeout' | 'reset' | 'unreadable'> };

/** What a reply means, before any table of consequences. */
export type TokenAnswer =
  | { type: 'tokens'; token_set: TokenSet }
  | { type: 'error'; error: string; status: number; retry_after: number | null }
  | { type: 'not_processed'; error_class: ErrorClass; status: number | null; retry_after: number | null }
  | { type: 'perhaps_processed'; error_class: ErrorClass; status: number | null; retry_after: number | null };

type Fields = Record<string, unknown>;

function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

/**
 * Reads a body whatever its content type claims: JSON first, then the form encoding that GitHub answers with. Web
 * pages, empty bodies and cut-off JSON give undefined.
 */
function readFields(body: string, mediaType: string): Fields | undefined {
  const text = body.trim();
  if (text === '') return undefined;
  try {
    return asFields(JSON.parse(text));
  } catch {
    if (!mediaType.includes('x-www-form-urlencoded') && !/^[\w.-]+=[^\s<>{}]*$/.test(text)) return undefined;
    return Object.fromEntries(new URLSearchParams(text));
  }
}

/** Text of a foreign answer as a database column takes it: no control characters, no broken surrogates. */
function plain(value: string): string {
  return value.replaceAll(/\p{Cc}/gu, '').toWellFormed();
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Ten years: a lifetime above it is a unit mistake or an attack on date arithmetic, and so undisclosed. */
const MAX_LIFETIME_S = 315_360_000;

/** Seconds from now, tolerant: numbers, numeric strings; everything else, and absurd values, are «not disclosed». */
function lifetime(value: unknown): number | null {
  const seconds = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return null;
  return seconds < 0 || seconds > MAX_LIFETIME_S ? null : seconds;
}

/** A lifetime of 0 is not disclosed, too: a token that has just been issued is not dead (0 is «no limit» to Keycloak). */
function expiry(value: unknown, now: Instant): Instant | null {
  const seconds = lifetime(value);
  return seconds === null || seconds === 0 ? null : now + Math.floor(seconds * 1000);
}

/** No RFC names the lifetime of a refresh token: Keycloak's field, that of most others, and Intuit's. */
const REFRESH_LIFETIMES = ['refresh_expires_in', 'refresh_token_expires_in', 'x_refresh_token_expires_in'];

function firstExpiry(names: readonly string[], fields: Fields, now: Instant): Instant | null {
  return names.reduce<Instant | null>((found, name) => found ?? expiry(fields[name], now), null);
}

/** Longer than any known provider's: it stands on the row and in the history, so a whole body must not. */
const MAX_SCOPE_LENGTH = 8_192;
const MAX_TYPE_LENGTH = 256;

function scopeOf(value: unknown): string | null {
  const parts: unknown[] = Array.isArray(value) ? value : [value];
  const scope = plain(parts.filter((part) => typeof part === 'string' && part !== '').join(' '));
  return scope === '' || scope.length > MAX_SCOPE_LENGTH ? null : scope;
}

function typeOf(value: unknown): string {
  const type = plain(text(value) ?? '');
  return type === '' || type.length > MAX_TYPE_LENGTH ? 'Bearer' : type;
}

function tokenSet(fields: Fields, now: Instant): TokenSet | undefined {
  const accessToken = text(fields.access_token);
  if (accessToken === undefined) return undefined;
  const refreshToken = text(fields.refresh_token);
  return {
    access_token: new Secret(accessToken),
    token_type: typeOf(fields.token_type),
    ...(refreshToken === undefined ? {} : { refresh_token: new Secret(refreshToken) }),
    expires_at: expiry(fields.expires_in, now),
    refresh_expires_at: firstExpiry(REFRESH_LIFETIMES, fields, now),
    scope: scopeOf(fields.scope),
    received_at: now,
  };
}

/** Slack (user tokens) nests the tokens under `authed_user`. */
function findTokens(fields: Fields, now: Instant): TokenSet | undefined {
  const nested = asFields(fields.authed_user);
  return tokenSet(fields, now) ?? (nested ? tokenSet(nested, now) : undefined);
}

/** What gateways answer for a server that may still be at work (protocol rule 8). */
const GATEWAY_FAILURES = new Set([502, 504]);

/**
 * RFC 6749 `error`; Slack says `ok: false` beside it, which is the same thing. Undefined for an error object and for a
 * sentence («Internal Server Error»): those are the words of a framework or a firewall, and so no answer of the token
 * endpoint. A gateway's failure is believed only where it carries a code of the protocol.
 */
function errorCode(fields: Fields, status: number): string | undefined {
  const error = text(fields.error);
  const code = error === undefined ? undefined : safeErrorCode(error);
  if (code === UNRECOGNISED_CODE) return undefined;
  return GATEWAY_FAILURES.has(status) && !PROTOCOL_CODES.has(code ?? '') ? undefined : code;
}

/** Statuses by which a server says that it did not look at the request (RFC 6585 §4, RFC 8470 §5.2). */
const NOT_PROCESSED: Readonly<Record<number, ErrorClass>> = { 429: 'rate_limited', 425: 'unavailable' };

/**
 * Reads a reply of the token endpoint, tolerantly: whatever else is wrong with an answer, an access token in it is a
 * token, because the refresh token that bought it may be spent. Validation comes after persistence.
 * @param now when the reply was received; lifetimes count from there.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5
 */
export function readTokenReply(reply: TokenReply, now: Instant): TokenAnswer {
  if (reply.type === 'not_sent') {
    return { type: 'not_processed', error_class: reply.error_class, status: null, retry_after: null };
  }
  if (reply.type === 'unknown') {
    return { type: 'perhaps_processed', error_class: reply.error_class, status: null, retry_after: null };
  }
  const { status, retry_after } = reply;
  const fields = readFields(reply.body.reveal(), reply.media_type);
  const redirected = status >= 300 && status < 400;
  if (fields && !redirected) {
    const tokens = findTokens(fields, now);
    const error = errorCode(fields, status);
    if (tokens && (status < 300 || error === undefined)) return { type: 'tokens', token_set: tokens };
    if (error !== undefined) return { type: 'error', error, status, retry_after };
  }
  const refused = NOT_PROCESSED[status];
  if (refused) return { type: 'not_processed', error_class: refused, status, retry_after };
  if (status === 503 && retry_after !== null) {
    return { type: 'not_processed', error_class: 'unavailable', status, retry_after };
  }
  return {
    type: 'perhaps_processed',
    error_class: status >= 500 ? 'server_error' : 'unreadable',
    status,
    retry_after,
  };
}
