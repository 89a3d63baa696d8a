import { isDeepStrictEqual as isDeepEqual } from 'node:util';
import type { NewAuthEvent } from '../core/auth-event.ts';
import {
  type ConfigSchemas,
  type ConnectionConfig,
  type ConnectionKey,
  commandIssue,
  connectionLabel,
  connectionNameSchema,
  parseConnectionConfig,
} from '../core/connection.ts';
import { movedDestinations, redactConfig, resolveRedacted, splitSecrets } from '../core/connection-secrets.ts';
import { isoOrNull, oauthStatus } from '../core/connection-status.ts';
import { type Credential, grantOf } from '../core/credential.ts';
import { dropReason } from '../core/dropped-token.ts';
import { AppError, type FieldIssue, isAppError } from '../core/errors.ts';
import type {
  AuthEventStore,
  AuthorizationServer,
  Clock,
  Connection,
  ConnectionSource,
  ConnectionStore,
  CredentialStore,
  KeyMaterialCheck,
  Log,
  Notifier,
  Random,
  ToolkitTest,
} from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import { storableIssues } from '../core/storable-text.ts';
import type { ConnectionsFlow, ConnectionView, GatewayStatus } from './api.ts';
import type { MemberStatus } from './catalog-member.ts';
import { checkClient, withClient } from './client-check.ts';
import { deletionByPerson, endByPerson, revocationOrder, revokeNow } from './disconnect.ts';
import type { FirstTokens } from './first-tokens.ts';
import type { Revoker } from './revocation.ts';
import { notify } from './settle.ts';

export type ConnectionsDeps = {
  schemas: ConfigSchemas;
  connections: ConnectionStore;
  credentials: Pick<CredentialStore, 'read' | 'readForAttempt' | 'postpone'>;
  events: AuthEventStore;
  revoker: Pick<Revoker, 'attempt'>;
  firstTokens: Pick<FirstTokens, 'obtain'>;
  authorizationServer: Pick<AuthorizationServer, 'refresh'>;
  notifier: Notifier;
  clock: Clock;
  random: Random;
  log: Log;
  keyMaterialIssues: KeyMaterialCheck;
  /** Opens what the connection leads to, for a test. */
  testUpstream(connection: Connection, signal: AbortSignal): Promise<ToolkitTest>;
  upstreamStatus(key: ConnectionKey): MemberStatus | undefined;
};

function listIssues(issues: readonly FieldIssue[]): string {
  return issues.map(({ path, message }) => `${path} ${message}`).join('; ');
}

function invalid(key: ConnectionKey, issues: readonly FieldIssue[]): AppError {
  return new AppError('invalid_config', `${connectionLabel(key)} was not saved: ${listIssues(issues)}.`, { issues });
}

function gatewayStatus(status: MemberStatus | undefined): GatewayStatus | null {
  if (!status) return null;
  const { state, tools, prompts, resources, last_error } = status;
  return {
    state,
    tools,
    prompts,
    resources,
    listed_at: isoOrNull(status.listed_at),
    last_success_at: isoOrNull(status.last_success_at),
    last_error: last_error && { ...last_error, at: isoOrNull(last_error.at) ?? '' },
  };
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
      gateway: gatewayStatus(deps.upstreamStatus(key)),
    };
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

  function checked(
    key: ConnectionKey,
    raw: Record<string, unknown>,
    source: ConnectionSource,
    stored: Connection | undefined,
  ): ConnectionConfig {
    const name = connectionNameSchema.safeParse(key.name);
    if (!name.success) throw invalid(key, [{ path: 'name', message: name.error.issues[0]?.message ?? 'is not valid' }]);
    const foreign = commandIssue(source, raw);
    // One that the file gives back keeps its row, so that it is not lost unseen; the row says why it is not used.
    if (foreign && stored?.source !== 'file') throw invalid(key, [foreign]);
    const parsed = parseConnectionConfig(schemas, key.kind, raw);
    if (!parsed.ok) throw invalid(key, parsed.issues);
    const moved = stored ? movedDestinations(stored.config, parsed.config) : new Set<never>();
    const secrets = stored ? splitSecrets(stored.config).secrets : {};
    const resolved = resolveRedacted(parsed.config, secrets, moved);
    if (!resolved.ok) {
      const message = `${connectionLabel(key)} was not saved: ${listIssues(resolved.issues)}.`;
      throw new AppError('secret_required', message, { issues: resolved.issues });
    }
    const unsound = deps.keyMaterialIssues(resolved.config as ConnectionConfig, clock.now());
    if (unsound.length > 0) throw invalid(key, unsound);
    return resolved.config as ConnectionConfig;
  }

  /** Whoever corrects what failed sees at once whether it works, and waits out no backoff. */
  async function retryCorrected({ key, issues }: Connection, credential: Credential): Promise<void> {
    const { failure, next_refresh_at, incarnation, generation } = credential;
    if (next_refresh_at === null || (failure === null && issues.length === 0)) return;
    try {
      await credentials.postpone(key, incarnation, generation, clock.now());
      await notify(deps, key);
    } catch (error) {
      deps.log.warn('a corrected connection could not be made due; it is tried again at its time', {
        connection: connectionLabel(key),
        error,
      });
    }
  }

  async function write(
    key: ConnectionKey,
    input: { config: Record<string, unknown>; description?: string },
    actor: string,
    source: ConnectionSource,
    stored: Connection | undefined,
  ): Promise<Connection> {
    const unstorable = [...storableIssues(input.config, ''), ...storableIssues(input.description, 'description')];
    if (unstorable.length > 0) throw invalid(key, unstorable);
    const config = checked(key, input.config, source, stored);
    const credential = stored?.config.auth_mode === 'oauth' ? await credentials.read(key) : undefined;
    const drop = stored && credential?.state === 'connected' && dropReason(stored.config, config, credential.binding);
    const order = stored && revocationOrder(stored, actor, deps.random);
    const result = await connections.save({
      key,
      description: input.description ?? stored?.description ?? '',
      config,
      source,
      actor,
      expected_revision: stored?.revision ?? null,
      // A consent that was asked for under the old destination must not land in the new one (lesson 45).
      drop_consents:
        stored !== undefined &&
        (movedDestinations(stored.config, config).size > 0 || grantOf(stored.config) !== grantOf(config)),
      ...(drop && order ? { settlement: endByPerson(stored, credential, drop, order, clock.now()).settlement } : {}),
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
      await revokeNow(deps, key, order);
    } else if (stored && credential && !isDeepEqual(stored.config, config)) {
      await retryCorrected(stored, credential);
    }
    return result.connection;
  }

  function unchanged(stored: Connection, input: { config: Record<string, unknown>; description: string }): boolean {
    const parsed = parseConnectionConfig(schemas, stored.key.kind, input.config);
    return parsed.ok && isDeepEqual(parsed.config, stored.config) && stored.description === input.description;
  }

  return {
    async list() {
      const rows = await connections.listWithCredentials();
      return rows.map(({ connection, credential }) => view(connection, credential));
    },

    async get(key) {
      const connection = await found(key);
      return view(connection, await credentials.read(key));
    },

    async put(key, input, actor) {
      const stored = await connections.read(key);
      if (stored) editable(stored);
      const connection = await write(key, input, actor, 'api', stored);
      await deps.firstTokens.obtain(connection, actor);
      return { created: stored === undefined, connection: view(connection, await credentials.read(key)) };
    },

    async delete(key, actor) {
      const connection = await found(key);
      editable(connection);
      const order = revocationOrder(connection, actor, deps.random);
      const eventsFor = (credential: Credential): NewAuthEvent[] =>
        credential.state === 'connected'
          ? [deletionByPerson(connection, credential, 'connection_deleted', actor).event]
          : [];
      const deleted = await connections.delete(key, connection.incarnation, eventsFor, order);
      if (!deleted.deleted) {
        throw new AppError(
          'conflict',
          `${connectionLabel(key)} was changed by somebody else in the meantime. Try again.`,
        );
      }
      await notifier.publish('connections', connectionLabel(key));
      await notify(deps, key);
      await revokeNow(deps, key, order);
    },

    async test(key, signal) {
      const connection = await found(key);
      const [issue] = connection.issues;
      if (issue) {
        return { ok: false, message: `The configuration is not valid: ${issue.path} ${issue.message}.`, details: {} };
      }
      const stored = connection.config.auth_mode === 'oauth' ? await credentials.readForAttempt(key) : undefined;
      const secret = stored?.secrets?.client_secret ?? null;
      const [upstream, client] = await Promise.all([
        deps.testUpstream(connection, signal),
        stored ? checkClient(deps, connection.config, stored.credential, secret) : null,
      ]);
      return client === null ? upstream : withClient(upstream, client);
    },

    history: (query) => deps.events.list(query),

    async declare(key, input) {
      for (let last = false; ; last = true) {
        const stored = await connections.read(key);
        try {
          const same = stored?.source === 'file' && stored.issues.length === 0 && unchanged(stored, input);
          const connection = same ? stored : await write(key, input, ACTOR.configurationFile, 'file', stored);
          // A start waits for no authorization server.
          void deps.firstTokens.obtain(connection, ACTOR.configurationFile);
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
