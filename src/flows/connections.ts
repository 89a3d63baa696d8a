import { isDeepStrictEqual as isDeepEqual } from 'node:util';
import type { NewAuthEvent, RevocationReason } from '../core/auth-event.ts';
import {
  type ConfigSchemas,
  type ConnectionConfig,
  type ConnectionKey,
  connectionLabel,
  connectionNameSchema,
  parseConnectionConfig,
} from '../core/connection.ts';
import { movedDestinations, redactConfig, resolveRedacted, splitSecrets } from '../core/connection-secrets.ts';
import { isoOrNull, oauthStatus } from '../core/connection-status.ts';
import type { Credential, RevocationOrder, Settlement } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import { AppError, type FieldIssue, isAppError } from '../core/errors.ts';
import type {
  AuthEventStore,
  Clock,
  Connection,
  ConnectionSource,
  ConnectionStore,
  CredentialStore,
  Log,
  Notifier,
  Random,
  ToolkitTest,
} from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import type { ConnectionsFlow, ConnectionView } from './api.ts';
import { upstreamRevocation, usableConfig } from './disconnect.ts';
import type { Revoker } from './revocation.ts';
import { notify } from './settle.ts';

export type ConnectionsDeps = {
  schemas: ConfigSchemas;
  connections: ConnectionStore;
  credentials: Pick<CredentialStore, 'list' | 'read' | 'readForAttempt'>;
  events: AuthEventStore;
  revoker: Pick<Revoker, 'attempt'>;
  notifier: Notifier;
  clock: Clock;
  random: Random;
  log: Log;
  /** Opens what the connection leads to, for a test. */
  testUpstream(connection: Connection, signal: AbortSignal): Promise<ToolkitTest>;
};

function listIssues(issues: readonly FieldIssue[]): string {
  return issues.map(({ path, message }) => `${path} ${message}`).join('; ');
}

function invalid(key: ConnectionKey, issues: readonly FieldIssue[]): AppError {
  return new AppError('invalid_config', `${connectionLabel(key)} was not saved: ${listIssues(issues)}.`, { issues });
}

/** Drops tokens that would be sent to a destination they were not given for. In the transaction of the save. */
function dropTokens(
  stored: Connection,
  credential: Credential,
  reason: RevocationReason,
  order: RevocationOrder,
  now: number,
): Settlement {
  const idp_host = idpHostOf(credential.binding);
  const upstream_revocation = upstreamRevocation(credential, stored);
  return {
    key: credential.key,
    fence: { by: 'generation', incarnation: credential.incarnation, generation: credential.generation },
    change: {
      type: 'disconnected',
      revocation: { occurred_at: now, reason, idp_host, decided_by: 'person' },
      revoke: order,
    },
    events: [
      {
        event_type: 'token_deleted_admin',
        actor: order.actor,
        idp_host,
        detail: { reason, decided_by: 'person', upstream_revocation },
      },
    ],
  };
}

/**
 * Whether the stored token would be sent to a host, or belongs to an authorization server, other than it was given for.
 * Naming the very server that it is bound to is no move.
 */
function mustDrop(stored: ConnectionConfig, next: ConnectionConfig, { binding }: Credential): boolean {
  if (next.auth_mode !== 'oauth' || movedDestinations(stored, next).has('endpoint')) return true;
  const named = next.oauth2_token_url ?? next.oauth2_issuer;
  if (named === undefined || binding === null) return false;
  const bound = [binding.token_endpoint, binding.issuer].flatMap((url) => (url === null ? [] : [new URL(url).origin]));
  return !bound.includes(new URL(named).origin);
}

export interface ConnectionsRoom extends ConnectionsFlow {
  /** Saves on behalf of the configuration file; its connections cannot be edited elsewhere. */
  declare(key: ConnectionKey, input: { config: Record<string, unknown>; description: string }): Promise<void>;
  /** Gives connections that the file no longer declares back to the operator: their tokens are not thrown away. */
  release(declared: readonly ConnectionKey[]): Promise<void>;
}

/** What operators do with connections: list, read, write, delete, test. */
export function createConnections(deps: ConnectionsDeps): ConnectionsRoom {
  const { connections, credentials, notifier, clock, schemas } = deps;

  function view(connection: Connection, credential: Credential | undefined): ConnectionView {
    const { key, config, issues, source, description, updated_by } = connection;
    const oauth = config.auth_mode === 'oauth' && credential;
    return {
      ...key,
      description,
      source,
      config: redactConfig(config),
      issues,
      created_at: isoOrNull(connection.created_at) ?? '',
      updated_at: isoOrNull(connection.updated_at) ?? '',
      updated_by,
      oauth: oauth ? oauthStatus(credential, config, issues, clock.now()) : null,
    };
  }

  const orderOf = (connection: Connection, actor: string): RevocationOrder => ({
    id: deps.random.uuid(),
    actor,
    config: usableConfig(connection),
  });

  /** The token is dropped and listed; what its server says now or later is no matter of this request. */
  async function revokeNow(key: ConnectionKey, { id }: RevocationOrder): Promise<void> {
    await deps.revoker.attempt(id).catch((error: unknown) => {
      deps.log.warn('a token could not be revoked yet; it is tried again', { connection: connectionLabel(key), error });
    });
  }

  async function found(key: ConnectionKey): Promise<Connection> {
    const connection = await connections.read(key);
    if (connection) return connection;
    throw new AppError('not_found', `There is no connection ${connectionLabel(key)}.`);
  }

  function editable(connection: Connection): void {
    if (connection.source !== 'file') return;
    throw new AppError(
      'managed_by_file',
      `${connectionLabel(connection.key)} is declared in the configuration file. Change it there and restart.`,
    );
  }

  function checked(key: ConnectionKey, raw: Record<string, unknown>, stored: Connection | undefined): ConnectionConfig {
    const name = connectionNameSchema.safeParse(key.name);
    if (!name.success) throw invalid(key, [{ path: 'name', message: name.error.issues[0]?.message ?? 'is not valid' }]);
    const parsed = parseConnectionConfig(schemas, key.kind, raw);
    if (!parsed.ok) throw invalid(key, parsed.issues);
    const moved = stored ? movedDestinations(stored.config, parsed.config) : new Set<never>();
    const secrets = stored ? splitSecrets(stored.config).secrets : {};
    const resolved = resolveRedacted(parsed.config, secrets, moved);
    if (!resolved.ok) {
      const message = `${connectionLabel(key)} was not saved: ${listIssues(resolved.issues)}.`;
      throw new AppError('secret_required', message, { issues: resolved.issues });
    }
    return resolved.config as ConnectionConfig;
  }

  async function write(
    key: ConnectionKey,
    input: { config: Record<string, unknown>; description?: string },
    actor: string,
    source: ConnectionSource,
    stored: Connection | undefined,
  ): Promise<Connection> {
    const config = checked(key, input.config, stored);
    const credential = stored?.config.auth_mode === 'oauth' ? await credentials.read(key) : undefined;
    const drop = stored && credential?.state === 'connected' && mustDrop(stored.config, config, credential);
    const order = stored && orderOf(stored, actor);
    const result = await connections.save({
      key,
      description: input.description ?? stored?.description ?? '',
      config,
      source,
      actor,
      expected_revision: stored?.revision ?? null,
      // A consent that was asked for under the old destination must not land in the new one (lesson 45).
      drop_consents: stored !== undefined && movedDestinations(stored.config, config).size > 0,
      ...(drop && order
        ? { settlement: dropTokens(stored, credential, 'destination_changed', order, clock.now()) }
        : {}),
    });
    if (!result.saved) {
      throw new AppError(
        'conflict',
        `${connectionLabel(key)} was changed by somebody else in the meantime. Read it again and repeat your change.`,
      );
    }
    await notifier.publish('connections', connectionLabel(key));
    if (drop && order) {
      await notify(deps, key);
      await revokeNow(key, order);
    }
    return result.connection;
  }

  function unchanged(stored: Connection, input: { config: Record<string, unknown>; description: string }): boolean {
    const parsed = parseConnectionConfig(schemas, stored.key.kind, input.config);
    return parsed.ok && isDeepEqual(parsed.config, stored.config) && stored.description === input.description;
  }

  return {
    async list() {
      const [rows, tokens] = await Promise.all([connections.list(), credentials.list()]);
      const byLabel = new Map(tokens.map((credential) => [connectionLabel(credential.key), credential]));
      return rows.map((connection) => view(connection, byLabel.get(connectionLabel(connection.key))));
    },

    async get(key) {
      const connection = await found(key);
      return view(connection, await credentials.read(key));
    },

    async put(key, input, actor) {
      const stored = await connections.read(key);
      if (stored) editable(stored);
      const connection = await write(key, input, actor, 'api', stored);
      return { created: stored === undefined, connection: view(connection, await credentials.read(key)) };
    },

    async delete(key, actor) {
      const connection = await found(key);
      editable(connection);
      const order = orderOf(connection, actor);
      const eventsFor = (credential: Credential): NewAuthEvent[] => {
        if (credential.state !== 'connected') return [];
        const upstream_revocation = upstreamRevocation(credential, connection);
        const detail = { reason: 'connection_deleted', decided_by: 'person', upstream_revocation } as const;
        return [{ event_type: 'token_deleted_admin', actor, idp_host: idpHostOf(credential.binding), detail }];
      };
      const deleted = await connections.delete(key, connection.incarnation, eventsFor, order);
      if (!deleted.deleted) {
        throw new AppError(
          'conflict',
          `${connectionLabel(key)} was changed by somebody else in the meantime. Try again.`,
        );
      }
      await notifier.publish('connections', connectionLabel(key));
      await notify(deps, key);
      await revokeNow(key, order);
    },

    async test(key, signal) {
      const connection = await found(key);
      const [issue] = connection.issues;
      if (issue) {
        return { ok: false, message: `The configuration is not valid: ${issue.path} ${issue.message}.`, details: {} };
      }
      return deps.testUpstream(connection, signal);
    },

    history: (query) => deps.events.list(query),

    async declare(key, input) {
      for (let last = false; ; last = true) {
        const stored = await connections.read(key);
        if (stored?.source === 'file' && stored.issues.length === 0 && unchanged(stored, input)) return;
        try {
          await write(key, input, ACTOR.configurationFile, 'file', stored);
          return;
        } catch (error) {
          // Replicas that start together declare the same file: whoever comes second finds it done.
          if (last || !isAppError(error) || error.code !== 'conflict') throw error;
        }
      }
    },

    async release(declared) {
      const labels = new Set(declared.map(connectionLabel));
      for (const connection of await connections.list()) {
        const { key, source, config, description, issues } = connection;
        if (source !== 'file' || labels.has(connectionLabel(key)) || issues.length > 0) continue;
        await write(key, { config, description }, ACTOR.configurationFile, 'api', connection);
        deps.log.warn(
          'a connection is no longer declared in the configuration file; it is kept and may be edited or deleted',
          {
            connection: connectionLabel(key),
          },
        );
      }
    },
  };
}
