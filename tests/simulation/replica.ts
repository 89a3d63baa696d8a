import { DEFAULT_PROTOCOL_SETTINGS } from '../../src/core/settings.ts';
import { createAccessTokens } from '../../src/flows/access-token.ts';
import type { AccessTokenFor, AuthorizeFlow, DisconnectFlow } from '../../src/flows/api.ts';
import { createAuthorize } from '../../src/flows/authorize.ts';
import { type ConnectionsRoom, createConnections } from '../../src/flows/connections.ts';
import { createDisconnect } from '../../src/flows/disconnect.ts';
import { createReplyKeeper } from '../../src/flows/escrow.ts';
import { createKeepalive } from '../../src/flows/keepalive.ts';
import { createRefreshDoor, type RefreshDoor } from '../../src/flows/refresh.ts';
import { createRevoker } from '../../src/flows/revocation.ts';
import {
  clockOf,
  escrowOf,
  lockerOf,
  logOf,
  loseSession,
  notifierOf,
  openBox,
  SCHEMAS,
  serverOf,
  storesOf,
} from './ports.ts';
import type { Host, Life, World } from './world.ts';

export type Flows = {
  door: RefreshDoor;
  accessToken: AccessTokenFor;
  authorize: AuthorizeFlow;
  disconnect: DisconnectFlow;
  connections: ConnectionsRoom;
  start(): void;
  stop(): Promise<void>;
};

/** As `createFlows` has it. */
const STOP_GRACE_MS = 5_000;

/** The real flows of one process, wired as `src/wiring.ts` does, on simulated ports. */
function wire(world: World, life: Life): Flows {
  const clock = clockOf(world, life);
  const stores = storesOf(world, life, clock);
  const settings = { ...DEFAULT_PROTOCOL_SETTINGS, refresh_interval: world.plan.refresh_interval };
  const shared = {
    ...stores,
    notifier: notifierOf(world, life),
    fingerprint: openBox.fingerprint,
    clock,
    random: world.random,
    log: logOf(world, life),
    settings,
    self: { replica_id: life.host.name, boot_id: life.boot_id },
    schemas: SCHEMAS,
    authorizationServer: serverOf(world, life),
    locker: lockerOf(world, life),
    redirectUri: 'http://127.0.0.1:8080/callback',
    clientIdMetadataUrl: null,
    keyMaterialIssues: () => [],
  };
  const revoker = createRevoker(shared);
  const keeper = createReplyKeeper({ ...shared, escrow: escrowOf(world, life), revoker });
  const listening = new Set<string>();
  const door = createRefreshDoor({ ...shared, keeper, listening });
  const keepalive = createKeepalive({ ...shared, door, keeper });
  return {
    door,
    accessToken: createAccessTokens({ ...shared, refresh: door }),
    authorize: createAuthorize({ ...shared, keeper, listening }),
    disconnect: createDisconnect({ ...shared, revoker }),
    connections: createConnections({
      firstTokens: { obtain: async () => undefined },
      ...shared,
      revoker,
      testUpstream: async () => ({ ok: true, message: 'fine', details: {} }),
      upstreamStatus: () => undefined,
    }),
    start() {
      keepalive.start();
      revoker.start();
    },
    async stop() {
      const stopped = Promise.all([keepalive.stop(), door.stop(), revoker.stop()]);
      await Promise.race([stopped, clock.sleep(settings.token_deadline + STOP_GRACE_MS)]);
      await keeper.abandon();
    },
  };
}

/** Starts a process on a host: it registers its boot as soon as the database answers, then everything runs. */
export function boot(world: World, host: Host): Life {
  const { scheduler } = world;
  const life: Life = {
    name: host.name,
    host,
    alive: true,
    boot_id: 0n,
    started: scheduler.now,
    flows: null,
    received: new Set(),
    claims: new Map(),
    views: new Map(),
    asleep: new Set(),
    notices: [],
  };
  host.life = life;
  world.tell(`${host.name} STARTS`);
  const { replicas } = storesOf(world, life, clockOf(world, life));
  const register = () => {
    replicas.boot(host.name).then(
      (boot_id) => {
        life.boot_id = boot_id;
        life.flows = wire(world, life);
        life.flows.start();
      },
      () => void world.act(life, 2_000, `${host.name} tries to start again`, register),
    );
  };
  register();
  return life;
}

/** kill -9. */
export function kill(world: World, host: Host): void {
  const { life } = host;
  if (!life) return;
  life.alive = false;
  for (const forget of life.asleep) forget();
  host.life = null;
  loseSession(world, life);
}
