import type { ConnectionConfig } from './connection.ts';
import { movedDestinations } from './connection-secrets.ts';
import { type ClientBinding, grantOf, isClientCredentials } from './credential.ts';

/**
 * Why the stored token must go: it would be sent to a host, or belongs to an authorization server, other than it was
 * given for, or was obtained in another way. Naming the very server that it is bound to is no move.
 */
export function dropReason(
  stored: ConnectionConfig,
  next: ConnectionConfig,
  binding: ClientBinding | null,
): 'destination_changed' | 'grant_changed' | undefined {
  if (next.auth_mode !== 'oauth' || movedDestinations(stored, next).has('endpoint')) return 'destination_changed';
  if (isClientCredentials(binding) !== (grantOf(next) === 'client_credentials')) return 'grant_changed';
  const named = next.oauth2_token_url ?? next.oauth2_issuer;
  if (named === undefined || binding === null) return undefined;
  const bound = [binding.token_endpoint, binding.issuer].flatMap((url) => (url === null ? [] : [new URL(url).origin]));
  return bound.includes(new URL(named).origin) ? undefined : 'destination_changed';
}

/** What became of the tokens at their authorization server when a person disconnected them, as far as it is known at once. */
export const DISCONNECT_OUTCOMES = ['revoked', 'pending', 'unsupported', 'unreadable', 'failed', 'nothing'] as const;
