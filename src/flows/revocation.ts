import { connectionLabel } from '../core/connection.ts';
import type { Credential } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import type {
  AuthEventStore,
  AuthorizationServer,
  Clock,
  ConsentStore,
  EscrowEntry,
  Fingerprint,
  Log,
  TokenRequestClient,
} from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';
import type { TokenSet } from '../core/token-set.ts';

export type RevokerDeps = {
  authorizationServer: Pick<AuthorizationServer, 'revoke'>;
  consents: Pick<ConsentStore, 'pending'>;
  events: AuthEventStore;
  fingerprint: Fingerprint;
  clock: Clock;
  log: Log;
};

export interface Revoker {
  /** Ends a token at the provider (RFC 7009). Best effort: a failure is logged, and the token dies with its lifetime. */
  revoke(
    key: EscrowEntry['key'],
    client: TokenRequestClient,
    tokens: { refresh_token: Secret | null; access_token: Secret | null },
    request: { actor: string; origin_of_trust: string },
  ): Promise<void>;
  /** A token that arrived too late to be stored (protocol rule 20). */
  superseded(entry: EscrowEntry, tokens: TokenSet, current: Credential | undefined): Promise<void>;
}

export function createRevoker(deps: RevokerDeps): Revoker {
  const { authorizationServer, consents, events, fingerprint, clock, log } = deps;

  const revoker: Revoker = {
    async revoke(key, client, tokens, { actor, origin_of_trust }) {
      if (client.binding.revocation_endpoint === null) return;
      const token = tokens.refresh_token ?? tokens.access_token;
      if (!token) return;
      const hint = tokens.refresh_token ? 'refresh_token' : 'access_token';
      const done = await authorizationServer
        .revoke(client, { token, token_type_hint: hint, origin_of_trust })
        .catch(() => false);
      const idp_host = idpHostOf(client.binding);
      if (!done) {
        log.warn('a token could not be revoked at the identity provider', {
          connection: connectionLabel(key),
          idp_host,
        });
        return;
      }
      await events.append(key, [
        {
          event_type: 'token_revoked_upstream',
          actor,
          idp_host,
          detail: { refresh_token_fingerprint: fingerprint(token) },
        },
      ]);
    },

    async superseded(entry, tokens, current) {
      // While a consent is connected or pending here, revoking could end the whole grant, and with it the live token.
      const alive = current?.incarnation === entry.incarnation && current.state === 'connected';
      if (alive || current?.state === 'connected' || (await consents.pending(entry.key, clock.now()))) return;
      await revoker.revoke(
        entry.key,
        { binding: entry.binding, client_secret: entry.client_secret },
        { refresh_token: tokens.refresh_token ?? null, access_token: tokens.access_token },
        entry,
      );
    },
  };
  return revoker;
}
