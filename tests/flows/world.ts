import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, inject, vi } from 'vitest';
import type { AuthEvent } from '../../src/core/auth-event.ts';
import type { ConnectionKey, McpConfig } from '../../src/core/connection.ts';
import type { ClientBinding, Credential } from '../../src/core/credential.ts';
import type { Clock, Escrow, Locker, Notifier, Stores } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { DEFAULT_PROTOCOL_SETTINGS, type ProtocolSettings } from '../../src/core/settings.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { createAccessTokens } from '../../src/flows/access-token.ts';
import { createAuthorize } from '../../src/flows/authorize.ts';
import { createClientCredentials } from '../../src/flows/client-credentials.ts';
import { createConnections } from '../../src/flows/connections.ts';
import { createDisconnect } from '../../src/flows/disconnect.ts';
import { createReplyKeeper } from '../../src/flows/escrow.ts';
import { createFirstTokens } from '../../src/flows/first-tokens.ts';
import { createKeepalive } from '../../src/flows/keepalive.ts';
import { createRefreshDoor } from '../../src/flows/refresh.ts';
import { createRevoker } from '../../src/flows/revocation.ts';
import { keyMaterialIssues } from '../../src/key-material.ts';
import * as fixture from '../suites/store-fixture.ts';
import { createMemoryDatabase, isMemory } from '../support/memory-tables.ts';
import {
  fakeClock,
  memoryEscrow,
  memoryNotifier,
  scriptedServer,
  seededRandom,
  testFingerprint,
} from '../support/ports.ts';
import { recordingLog } from '../support/recording-log.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where the stores of the flows lie; a run that does not say keeps them in the embedded database. */
    flowStores?: 'memory';
  }
}

export const { KEY, NOON, MINUTE } = fixture;
export const HOUR = 60 * MINUTE;
export const REDIRECT_URI = 'http://127.0.0.1:8080/callback';

export const binding: ClientBinding = {
  ...fixture.binding,
  revocation_endpoint: 'https://idp.example/revoke',
};

const openLocker: Locker = { tryLock: async () => true, unlock: async () => undefined };

export type BootOptions = {
  replica_id?: string;
  /** Replaces methods of the stores, for faults of the database. */
  credentials?: Partial<Stores['credentials']>;
  connections?: Partial<Stores['connections']>;
  escrow?: Partial<Escrow>;
  locker?: Locker;
  notifier?: Notifier;
  clock?: Clock;
  settings?: Partial<ProtocolSettings>;
  clientIdMetadataUrl?: string;
};

/** One database, one provider, one disk, and any number of processes that come and go. */
export async function createWorld(opened: OpenDatabase) {
  const clock = fakeClock(NOON);
  const random = seededRandom();
  const log = recordingLog();
  const server = scriptedServer();
  /** Each replica has a data directory of its own; `escrow` is that of `replica-a`. */
  const escrow = memoryEscrow();
  const disks = new Map([['replica-a', escrow]]);
  const notifier = memoryNotifier();
  const { schemas } = fixture;
  const stores = fixture.storesIn(opened, { clock, random, box: fixture.testBox() });
  const tests: string[] = [];

  async function boot(options: BootOptions = {}) {
    const replica_id = options.replica_id ?? 'replica-a';
    const self = { replica_id, boot_id: await stores.replicas.boot(replica_id) };
    const disk = disks.get(replica_id) ?? memoryEscrow();
    disks.set(replica_id, disk);
    const settings = { ...DEFAULT_PROTOCOL_SETTINGS, ...options.settings };
    const credentials = { ...stores.credentials, ...options.credentials };
    const connections = { ...stores.connections, ...options.connections };
    const { events, consents, registrations, revocations, incidents, replicas } = stores;
    let killed = false;
    /** A killed process never wakes. */
    const time = options.clock ?? clock;
    const ownClock = {
      ...time,
      async sleep(ms: number, signal?: AbortSignal) {
        await time.sleep(ms, signal);
        if (killed) await never();
      },
    };
    const shared = {
      credentials,
      connections,
      events,
      consents,
      registrations,
      revocations,
      incidents,
      replicas,
      notifier: options.notifier ?? notifier,
      fingerprint: testFingerprint,
      clock: ownClock,
      random,
      log,
      settings,
      self,
      schemas,
      authorizationServer: server,
      locker: options.locker ?? openLocker,
      redirectUri: REDIRECT_URI,
      clientIdMetadataUrl: options.clientIdMetadataUrl ?? null,
      keyMaterialIssues,
    };
    const revoker = createRevoker(shared);
    const keeper = createReplyKeeper({ ...shared, escrow: { ...disk, ...options.escrow }, revoker });
    const listening = new Set<string>();
    const door = createRefreshDoor({ ...shared, keeper, listening });
    const clientCredentials = createClientCredentials({ ...shared, keeper, listening });
    const firstTokens = createFirstTokens({ ...shared, clientCredentials });
    return {
      firstTokens,
      self,
      settings,
      clientCredentials,
      keeper,
      listening,
      door,
      revoker,
      disconnect: (key = KEY, actor = 'ada@example.com') =>
        createDisconnect({ ...shared, revoker }).disconnect(key, actor),
      keepalive: createKeepalive({ ...shared, door, keeper }),
      accessToken: createAccessTokens({ ...shared, refresh: door }),
      authorize: createAuthorize({ ...shared, keeper, listening }),
      connections: createConnections({
        ...shared,
        revoker,
        firstTokens,
        upstreamStatus: () => undefined,
        testUpstream: async ({ key }) => {
          tests.push(key.name);
          return { ok: true, message: 'fine', details: {} };
        },
      }),
      /** kill -9: nobody of it wakes again. */
      kill() {
        killed = true;
      },
      /** The operator's button, unless told otherwise. */
      refresh: (more: Partial<Parameters<typeof door.refresh>[0]> = {}) =>
        door.refresh({ key: KEY, reason: 'operator', actor: 'ada@example.com', ...more }),
    };
  }

  const world = {
    clock,
    random,
    log,
    server,
    escrow,
    notifier,
    stores,
    boot,
    /** Upstreams that were tested. */
    tests,

    /** A connection with the tokens of family `family`, an hour before they expire. */
    async connected(
      family = 'f0',
      key: ConnectionKey = KEY,
      more: Record<string, unknown> = {},
      config: Partial<McpConfig> = {},
    ): Promise<Credential> {
      if (!(await stores.connections.read(key))) await fixture.create(stores, key, config);
      const name = `${family}t0`;
      const refresh_token_fingerprint = testFingerprint(new Secret(`refresh-${name}`));
      return fixture.connect(stores, name, key, { binding, refresh_token_fingerprint, ...more });
    },
    credential: (key = KEY) => fixture.readCredential(stores, key),
    async accessToken(key = KEY) {
      return fixture.accessTokenOf(stores, key);
    },
    /** Oldest first. */
    async events(key = KEY): Promise<AuthEvent[]> {
      return (await stores.events.list({ key, limit: 100 })).reverse();
    },
    async eventTypes(key = KEY): Promise<string[]> {
      return (await world.events(key)).map(({ event_type }) => event_type);
    },
    messages: (level?: 'info' | 'warn' | 'error') =>
      log.lines.filter((line) => level === undefined || line.level === level).map(({ message }) => message),
    /** Time passes for the database, too: intents and the silence of replicas age by its own clock. */
    async pass(ms: number): Promise<void> {
      if (isMemory(opened)) opened.memory.pass(ms);
      else await ageRows(opened, ms);
      await clock.advance(ms);
    },
    /** A row as an older version may have left it, which no store would write. */
    async misconfigure({ kind, name }: ConnectionKey, config: Record<string, unknown>): Promise<void> {
      if (isMemory(opened)) return opened.memory.misconfigure({ kind, name }, config);
      const json = JSON.stringify(config);
      const change = sql`update connections set config = cast(cast(${json} as text) as jsonb)
        where kind = ${kind} and name = ${name}`;
      await change.execute(opened.db);
    },
    sent: (count: number) =>
      vi.waitFor(
        () => {
          if (server.presented.length < count) throw new Error(`${server.presented.length} of ${count} presented`);
        },
        { timeout: 20_000, interval: 5 },
      ),
  };
  return world;
}

export type World = Awaited<ReturnType<typeof createWorld>>;
export type Process = Awaited<ReturnType<World['boot']>>;

/** A process that stops dead here: nothing after this line of it ever runs. */
export const never = (): Promise<never> => new Promise(() => undefined);

async function ageRows({ db }: OpenDatabase, ms: number): Promise<void> {
  await sql`update connection_credentials set intent_at = intent_at - ${ms} * interval '1 millisecond'`.execute(db);
  await sql`update replicas set last_seen = last_seen - ${ms} * interval '1 millisecond'`.execute(db);
}

type Ground = { fresh(): Promise<OpenDatabase>; end(): Promise<void> };

/** One embedded database for the file, emptied for each test. Imported when needed: a run in memory starts without it. */
async function embeddedGround(): Promise<Ground> {
  const [{ emptyTables, openEmbeddedForTest }, { migrate }, { migrations }] = await Promise.all([
    import('../support/database.ts'),
    import('../../src/db/migrate.ts'),
    import('../../src/db/migrations/index.ts'),
  ]);
  const { opened, end } = await openEmbeddedForTest();
  await migrate(opened.db, { migrations, log: recordingLog() });
  return { fresh: async () => emptyTables(opened).then(() => opened), end };
}

const memoryGround: Ground = { fresh: async () => createMemoryDatabase(), end: async () => undefined };

/** Each test begins with empty tables and a world of its own. */
export function describeFlow(name: string, suite: (world: () => World) => void): void {
  describe(name, () => {
    let ground: Ground | undefined;
    let world: World | undefined;
    beforeAll(async () => {
      ground = inject('flowStores') === 'memory' ? memoryGround : await embeddedGround();
    });
    beforeEach(async () => {
      if (!ground) throw new Error('there is nothing to keep the rows in');
      world = await createWorld(await ground.fresh());
    });
    afterAll(async () => {
      await ground?.end();
    });
    suite(() => {
      if (!world) throw new Error('a world exists only inside tests');
      return world;
    });
  });
}
