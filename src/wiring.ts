import type { Config } from './config.ts';
import type { ConfigSchemas } from './core/connection.ts';
import type {
  AuthorizationServer,
  CallRecorder,
  Clock,
  Escrow,
  Fetch,
  Fingerprint,
  KeyMaterialCheck,
  Locker,
  Log,
  Metrics,
  Notifier,
  Random,
  Stores,
  Toolkit,
} from './core/ports.ts';
import { createAccessTokens } from './flows/access-token.ts';
import type { AuthorizeFlow, ClientCredentialsFlow, DisconnectFlow } from './flows/api.ts';
import { createAuthorize } from './flows/authorize.ts';
import { createCallRecords } from './flows/call-records.ts';
import { createCatalog } from './flows/catalog.ts';
import type { Catalog } from './flows/catalog-api.ts';
import { createClientCredentials } from './flows/client-credentials.ts';
import { type ConnectionsRoom, createConnections } from './flows/connections.ts';
import { countedSettlements } from './flows/counted-settlements.ts';
import { createDisconnect } from './flows/disconnect.ts';
import { createReplyKeeper } from './flows/escrow.ts';
import { createFirstTokens } from './flows/first-tokens.ts';
import { createKeepalive, type Keepalive } from './flows/keepalive.ts';
import { createPassthrough, type Passthrough } from './flows/passthrough.ts';
import { createRefreshDoor, type RefreshDoor } from './flows/refresh.ts';
import { createRetention } from './flows/retention.ts';
import { createRevoker } from './flows/revocation.ts';
import { createToolCall, type ToolCall } from './flows/tool-call.ts';

export type FlowsInput = {
  config: Config;
  stores: Stores;
  toolkits: ReadonlyMap<string, Toolkit>;
  schemas: ConfigSchemas;
  self: { replica_id: string; boot_id: bigint };
  escrow: Escrow;
  fingerprint: Fingerprint;
  authorizationServer: AuthorizationServer;
  locker: Locker;
  notifier: Notifier;
  redirectUri: string;
  clientIdMetadataUrl: string | null;
  keyMaterialIssues: KeyMaterialCheck;
  fetch: Fetch;
  clock: Clock;
  random: Random;
  log: Log;
  metrics: Metrics;
};

export type Flows = {
  connections: ConnectionsRoom;
  disconnect: DisconnectFlow;
  authorize: AuthorizeFlow;
  refresh: RefreshDoor;
  clientCredentials: ClientCredentialsFlow;
  catalog: Catalog;
  keepalive: Keepalive;
  /** Whatever calls an upstream for somebody records it here. */
  calls: CallRecorder;
  toolCallFor(publicUrl: string): ToolCall;
  passthroughFor(publicUrl: string): Passthrough;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/** Rule 21 waits for replies, but not for a provider that never answers: what is open then is ambiguous, and said so. */
const STOP_GRACE_MS = 5_000;

/** Builds the stories out of the ports: the one place that knows which flow needs which. */
export function createFlows(given: FlowsInput): Flows {
  const stores = { ...given.stores, credentials: countedSettlements(given.stores.credentials, given.metrics) };
  const input = { ...given, stores };
  const { config, escrow, notifier, locker, clock, random, log, self } = input;
  const settings = config.protocol;
  const { revocations, consents, events } = stores;
  const revoker = createRevoker({ ...input, credentials: stores.credentials, revocations, consents, events });
  const settle = {
    credentials: stores.credentials,
    incidents: stores.incidents,
    notifier,
    fingerprint: input.fingerprint,
    clock,
    random,
    log,
    settings,
  };
  const { connections, credentials, replicas } = stores;
  const keeper = createReplyKeeper({ ...settle, ...stores, escrow, revoker, self });
  const { authorizationServer } = input;
  const attempt = { ...settle, credentials, connections, events, authorizationServer, keeper, self };
  const listening = new Set<string>();
  const door = createRefreshDoor({ ...attempt, listening, locker });
  const clientCredentials = createClientCredentials({ ...attempt, consents, listening });
  const firstTokens = createFirstTokens({ ...settle, connections, credentials, clientCredentials });
  const keepalive = createKeepalive({ ...settle, credentials, replicas, door, keeper, self });
  const accessToken = createAccessTokens({ credentials, refresh: door, notifier, clock });
  const catalog = createCatalog({
    ...input,
    accessToken,
    settings: { list_interval: config.catalog_interval },
  });
  const { replica_id } = self;
  const { record_arguments } = config;
  const calls = createCallRecords({ ...input, store: stores.calls, replica_id, record_arguments });
  const retention = createRetention({ ...input, ...stores, ...config });
  return {
    connections: createConnections({
      ...input,
      connections,
      credentials,
      events,
      revoker,
      firstTokens,
      testUpstream: (connection, signal) => catalog.test(connection, signal),
      upstreamStatus: (key) => catalog.status(key),
    }),
    disconnect: createDisconnect({ ...input, connections, credentials, revoker }),
    authorize: createAuthorize({ ...input, ...settle, ...stores, keeper, listening }),
    refresh: door,
    clientCredentials,
    catalog,
    keepalive,
    calls,
    toolCallFor: (publicUrl) => createToolCall({ catalog, calls, publicUrl, log }),
    passthroughFor: (publicUrl) => createPassthrough({ catalog, calls, publicUrl }),
    async start() {
      calls.start();
      keepalive.start();
      retention.start();
      revoker.start();
      firstTokens.start();
      await catalog.start();
    },
    async stop() {
      const stopped = Promise.all([
        keepalive.stop(),
        door.stop(),
        retention.stop(),
        revoker.stop(),
        firstTokens.stop(),
        catalog.close(),
      ]);
      await Promise.race([stopped, clock.sleep(settings.token_deadline + STOP_GRACE_MS)]);
      await keeper.abandon();
      await calls.stop();
    },
  };
}
