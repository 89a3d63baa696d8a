import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isoOrNull } from '../core/connection-status.ts';
import type { Credential } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import { AppError } from '../core/errors.ts';
import type { Clock, CredentialStore, Notifier } from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import type { Secret } from '../core/redact.ts';
import type { Instant } from '../core/token-set.ts';
import type { AccessTokenFor, RefreshFlow, RefreshResult } from './api.ts';

export type AccessTokenDeps = {
  credentials: Pick<CredentialStore, 'readAccessToken'>;
  refresh: RefreshFlow;
  notifier: Notifier;
  clock: Clock;
};

type Cached = { access_token: Secret; usable_until: Instant | null };

/** A token is not handed out in its last seconds: it would expire on the way. At most a tenth of its lifetime. */
const MARGIN_MS = 10_000;

function usableUntil({ token }: Credential): Instant | null {
  if (!token || token.expires_at === null) return null;
  return token.expires_at - Math.min(MARGIN_MS, (token.expires_at - token.received_at) / 10);
}

function needsPerson(key: ConnectionKey, why: string, verb: 'Connect' | 'Reconnect' = 'Reconnect'): AppError {
  return new AppError('needs_person', `${connectionLabel(key)}: ${why} ${verb} it in the portal.`);
}

function refusal(key: ConnectionKey, credential: Credential, result: RefreshResult): AppError {
  const label = connectionLabel(key);
  const host = idpHostOf(credential.binding) ?? 'the identity provider';
  switch (result.type) {
    case 'revoked':
      return needsPerson(
        key,
        `its token is gone since ${isoOrNull(result.revocation.occurred_at)} (${result.revocation.reason}).`,
      );
    case 'not_connected':
    case 'gone':
      return needsPerson(key, 'it is not connected.', 'Connect');
    case 'no_refresh_token':
      return needsPerson(key, `the upstream refuses its access token, and ${host} gave no refresh token.`);
    case 'failed': {
      const code = result.failure.idp_error_code ?? result.failure.error_class;
      if (result.failure.type === 'misconfigured') {
        return new AppError(
          'unavailable',
          `${label}: ${host} refuses the OAuth client (${code}). An operator must correct the client id, secret or scope; the token is kept.`,
        );
      }
      if (result.failure.held_since !== undefined) {
        return new AppError(
          'unavailable',
          `${label}: ${host} refuses its refresh token (${code}); the token is kept until that is confirmed, and asked again automatically.`,
          { retry_after: 60 },
        );
      }
      return new AppError(
        'unavailable',
        `${label}: ${host} did not refresh the token (${code}); it is retried automatically.`,
        {
          retry_after: 30,
        },
      );
    }
    case 'waiting':
      return new AppError('unavailable', `${label}: its token is being refreshed (${result.why}). Try again shortly.`, {
        retry_after: 5,
      });
    case 'refreshed':
    case 'current':
      return new AppError(
        'unavailable',
        `${label}: the upstream refuses the newest access token. Test or reconnect it.`,
      );
  }
}

/**
 * Hands out valid access tokens, from memory while they last. What the database or another replica changed is dropped
 * from memory at the notice of it, and at the latest when the token expires or an upstream refuses it.
 */
export function createAccessTokens(deps: AccessTokenDeps): AccessTokenFor {
  const { credentials, refresh, notifier, clock } = deps;
  const cache = new Map<string, Cached>();
  /** Notices so far: what was read before a notice is not put into the cache after it. */
  let notices = 0;
  notifier.subscribe('credentials', (label) => {
    notices += 1;
    // After a lost connection to the database the notice is empty: anything may have changed.
    if (label === '') cache.clear();
    else cache.delete(label);
  });

  const usable = (entry: Cached, rejected: Secret | undefined): boolean =>
    (entry.usable_until === null || entry.usable_until > clock.now()) &&
    !(rejected && entry.access_token.equals(rejected));

  async function load(key: ConnectionKey): Promise<{ credential: Credential; entry: Cached }> {
    const noticed = notices;
    const row = await credentials.readAccessToken(key);
    if (!row) throw needsPerson(key, 'it does not exist, or its authorization is not OAuth.');
    const { credential, access_token } = row;
    if (credential.state !== 'connected' || !access_token) {
      const { revocation } = credential;
      if (revocation) throw refusal(key, credential, { type: 'revoked', revocation });
      if (credential.state === 'connected') throw needsPerson(key, 'its stored token cannot be decrypted.');
      throw needsPerson(key, 'it has never been connected.', 'Connect');
    }
    const entry: Cached = { access_token, usable_until: usableUntil(credential) };
    if (noticed === notices) cache.set(connectionLabel(key), entry);
    return { credential, entry };
  }

  return async (key, { rejected, signal } = {}) => {
    const cached = cache.get(connectionLabel(key));
    if (cached && usable(cached, rejected)) return cached.access_token;
    const { credential, entry } = await load(key);
    if (usable(entry, rejected)) return entry.access_token;
    const reason = rejected ? 'upstream_401' : 'tool_call';
    const { generation } = credential;
    const result = await refresh.refresh({ key, reason, actor: ACTOR.toolCall, generation, signal });
    const again = await load(key);
    if (usable(again.entry, rejected)) return again.entry.access_token;
    // In its last seconds, and the refresh failed: better a token that may still be good than none.
    const expires_at = again.credential.token?.expires_at ?? null;
    const late = !rejected && expires_at !== null && expires_at > clock.now();
    if (late) return again.entry.access_token;
    throw refusal(key, again.credential, result);
  };
}
