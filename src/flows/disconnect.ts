import type { NewAuthEvent, RevocationReason, UpstreamRevocation } from '../core/auth-event.ts';
import { type ConnectionConfig, type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isTokenIssue } from '../core/connection-status.ts';
import type { Credential, RevocationOrder, Settlement } from '../core/credential.ts';
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
function upstreamRevocation(
  { binding }: Pick<Credential, 'binding'>,
  connection: Connection,
): UpstreamRevocation | undefined {
  if (binding === null) return undefined;
  if (connection.issues.some(isTokenIssue)) return 'unreadable';
  const client = revocationClient(binding, usableConfig(connection), null);
  return client.binding.revocation_endpoint === null ? 'unsupported' : 'requested';
}

export function revocationOrder(connection: Connection, actor: string, random: Pick<Random, 'uuid'>): RevocationOrder {
  return { id: random.uuid(), actor, config: usableConfig(connection) };
}

/** The event of a token that a person's act deletes, and what becomes of the token at its server. */
export function deletionByPerson(
  connection: Connection,
  credential: Credential,
  reason: RevocationReason,
  actor: string,
): { event: NewAuthEvent; upstream: UpstreamRevocation | undefined } {
  const upstream = credential.state === 'connected' ? upstreamRevocation(credential, connection) : undefined;
  const detail = { reason, decided_by: 'person', ...(upstream ? { upstream_revocation: upstream } : {}) } as const;
  const idp_host = idpHostOf(credential.binding);
  return { event: { event_type: 'token_deleted_admin', actor, idp_host, detail }, upstream };
}

/** Ends the tokens of a connection by a person's act, unless they were renewed or replaced since `credential` was read. */
export function endByPerson(
  connection: Connection,
  credential: Credential,
  reason: RevocationReason,
  order: RevocationOrder,
  now: number,
): { settlement: Settlement; upstream: UpstreamRevocation | undefined } {
  const { key, incarnation, generation, state, binding } = credential;
  const { event, upstream } = deletionByPerson(connection, credential, reason, order.actor);
  const revocation = { occurred_at: now, reason, idp_host: idpHostOf(binding), decided_by: 'person' } as const;
  const settlement: Settlement = {
    key,
    fence: { by: 'generation', incarnation, generation },
    change: { type: 'disconnected', revocation, revoke: order },
    // What never had a token loses none; a consent that was begun ends silently.
    events: state === 'never_connected' ? [] : [event],
  };
  return { settlement, upstream };
}

/** Tries once to end a token at its server; what could not be done is on the list of what is tried again. */
export async function revokeNow(
  { revoker, log }: Pick<DisconnectDeps, 'revoker' | 'log'>,
  key: ConnectionKey,
  { id }: RevocationOrder,
): ReturnType<Revoker['attempt']> {
  return revoker.attempt(id).catch((error: unknown) => {
    log.warn('a token could not be revoked yet; it is tried again', { connection: connectionLabel(key), error });
    return 'pending' as const;
  });
}

/**
 * A person ends a connection: first here, for good and fenced against everything that was begun before, then at the
 * authorization server.
 */
export function createDisconnect(deps: DisconnectDeps): DisconnectFlow {
  const { connections, credentials, clock, random, log } = deps;

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

  async function settle(
    key: ConnectionKey,
    actor: string,
  ): Promise<{ order: RevocationOrder; seen: Credential; upstream: UpstreamRevocation | undefined }> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { connection, credential } = await found(key);
      const order = revocationOrder(connection, actor, random);
      const { settlement, upstream } = endByPerson(connection, credential, 'disconnected', order, clock.now());
      const result = await credentials.settle(settlement);
      if (result.applied) return { order, seen: credential, upstream };
    }
    const message = `${connectionLabel(key)} is being refreshed or connected right now, so it was not disconnected. Try again.`;
    throw new AppError('conflict', message);
  }

  /** What an operator reads; the history has the rest. */
  async function endUpstream(
    order: RevocationOrder,
    key: ConnectionKey,
    upstream: UpstreamRevocation | undefined,
  ): Promise<DisconnectResult['upstream']> {
    if (upstream === undefined) return 'nothing';
    if (upstream !== 'requested') return upstream;
    const state = await revokeNow(deps, key, order);
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
