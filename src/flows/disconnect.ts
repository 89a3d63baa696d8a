import type { NewAuthEvent, UpstreamRevocation } from '../core/auth-event.ts';
import { type ConnectionConfig, type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isTokenIssue } from '../core/connection-status.ts';
import type { Credential, Revocation, RevocationOrder, TokenChange } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import { AppError } from '../core/errors.ts';
import type { Clock, Connection, ConnectionStore, CredentialStore, Log, Notifier, Random } from '../core/ports.ts';
import { revocationClient } from '../core/token-client.ts';
import type { DisconnectFlow, DisconnectResult } from './api.ts';
import type { Revoker } from './revocation.ts';
import { notify } from './settle.ts';

export type DisconnectDeps = {
  connections: Pick<ConnectionStore, 'read'>;
  credentials: Pick<CredentialStore, 'read' | 'settle'>;
  revoker: Pick<Revoker, 'attempt'>;
  notifier: Notifier;
  clock: Clock;
  random: Random;
  log: Log;
};

/** How often a refresh may settle in between before somebody is asked to click again. */
const TRIES = 5;

/** The configuration that tokens were used under, where it is still valid. */
export function usableConfig(connection: Connection): ConnectionConfig | null {
  return connection.issues.every(isTokenIssue) ? connection.config : null;
}

/** Whether the token that a credential loses can be ended at its server. */
export function upstreamRevocation(
  { binding }: Pick<Credential, 'binding'>,
  connection: Connection,
): UpstreamRevocation | undefined {
  if (binding === null) return undefined;
  if (connection.issues.some(isTokenIssue)) return 'unreadable';
  const client = revocationClient(binding, usableConfig(connection), null);
  return client.binding.revocation_endpoint === null ? 'unsupported' : 'requested';
}

/**
 * A person ends a connection: first here, for good and fenced against everything that was begun before, then at the
 * authorization server.
 */
export function createDisconnect(deps: DisconnectDeps): DisconnectFlow {
  const { connections, credentials, revoker, clock, random, log } = deps;

  async function found(key: ConnectionKey): Promise<{ connection: Connection; credential: Credential }> {
    const [connection, credential] = await Promise.all([connections.read(key), credentials.read(key)]);
    if (!connection || !credential) {
      throw new AppError('not_found', `There is no connection ${connectionLabel(key)}.`);
    }
    if (connection.config.auth_mode !== 'oauth') {
      const message = `${connectionLabel(key)} has auth_mode ${connection.config.auth_mode}; only auth_mode oauth holds a token that can be disconnected.`;
      throw new AppError('invalid_request', message);
    }
    return { connection, credential };
  }

  function changeOf(credential: Credential, order: RevocationOrder): TokenChange {
    const revocation: Omit<Revocation, 'from_generation'> = {
      occurred_at: clock.now(),
      reason: 'disconnected',
      idp_host: idpHostOf(credential.binding),
      decided_by: 'person',
    };
    return { type: 'disconnected', revocation, revoke: order };
  }

  async function settle(
    key: ConnectionKey,
    actor: string,
  ): Promise<{ order: RevocationOrder; seen: Credential; upstream: UpstreamRevocation | undefined }> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { connection, credential } = await found(key);
      const { incarnation, generation, state, binding } = credential;
      const connected = state === 'connected';
      const upstream = connected ? upstreamRevocation(credential, connection) : undefined;
      const order: RevocationOrder = { id: random.uuid(), actor, config: usableConfig(connection) };
      const deleted: NewAuthEvent = {
        event_type: 'token_deleted_admin',
        actor,
        idp_host: idpHostOf(binding),
        detail: {
          reason: 'disconnected',
          decided_by: 'person',
          ...(upstream ? { upstream_revocation: upstream } : {}),
        },
      };
      const result = await credentials.settle({
        key,
        fence: { by: 'generation', incarnation, generation },
        change: changeOf(credential, order),
        // What never had a token loses none; a consent that was begun ends silently.
        events: state === 'never_connected' ? [] : [deleted],
      });
      if (result.applied) return { order, seen: credential, upstream };
    }
    const message = `${connectionLabel(key)} is being refreshed or connected right now, so it was not disconnected. Try again.`;
    throw new AppError('conflict', message);
  }

  /** What an operator reads; the history has the rest. */
  async function endUpstream(
    { id }: RevocationOrder,
    key: ConnectionKey,
    upstream: UpstreamRevocation | undefined,
  ): Promise<DisconnectResult['upstream']> {
    if (upstream === undefined) return 'nothing';
    if (upstream !== 'requested') return upstream;
    const state = await revoker.attempt(id).catch((error: unknown) => {
      log.warn('a token could not be revoked yet; it is tried again', { connection: connectionLabel(key), error });
      return 'pending' as const;
    });
    return state === 'ended' ? 'failed' : (state ?? 'pending');
  }

  return {
    async disconnect(key, actor) {
      const { order, seen, upstream } = await settle(key, actor);
      await notify(deps, key);
      log.info('disconnected', { connection: connectionLabel(key), actor });
      const told = await endUpstream(order, key, upstream);
      return { upstream: told, idp_host: idpHostOf(seen.binding) };
    },
  };
}
