import { connectionLabel } from '../core/connection.ts';
import { formatDuration } from '../core/duration.ts';
import type {
  Clock,
  CredentialStore,
  DueCredential,
  DueQuery,
  IncidentStore,
  Log,
  Notifier,
  ReplicaStore,
} from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import type { ProtocolSettings } from '../core/settings.ts';
import type { ReplyKeeper } from './escrow.ts';
import type { RefreshDoor } from './refresh.ts';

export type KeepaliveDeps = {
  credentials: Pick<CredentialStore, 'claimDue' | 'nextDueAt'>;
  incidents: Pick<IncidentStore, 'claimProbes'>;
  replicas: Pick<ReplicaStore, 'seen'>;
  door: RefreshDoor;
  keeper: ReplyKeeper;
  notifier: Notifier;
  clock: Clock;
  log: Log;
  settings: ProtocolSettings;
  self: { replica_id: string; boot_id: bigint };
};

/** Rows of one claim. Large enough to fill the process, small enough to share with other replicas. */
const CLAIM_LIMIT = 256;

/** The shortest pause between looks: due rows that another replica holds must not turn the loop into a spin. */
const MIN_PAUSE_MS = 1_000;

/**
 * A process that is full looks again when so much of it is free, and at the latest after a moment: a look costs a replica
 * and its database as much as a refresh, so it should start several.
 */
const FREE_SHARE = 1 / 8;
const REFILL_MS = 50;

/** How often a busy loop says that this replica lives; an idle one says it with every tick. */
const SEEN_MS = 30_000;

/** Several signs of life in the time after which others take this replica's attempts over (protocol rule 15 d). */
const SIGNS_OF_LIFE = 4;

const hostOf = ({ idp_host }: DueCredential) => idp_host ?? '';

export interface Keepalive {
  start(): void;
  /** Claims and starts what is due, as far as the bounds allow; resolves when it has been started, not refreshed. */
  runOnce(): Promise<{ started: number }>;
  stop(): Promise<void>;
}

/**
 * The promise on the box: tokens are refreshed before they end, with nobody calling. One query finds what is due, a
 * bounded number of attempts runs at once, never more than `per_host` against one authorization server, and the loop
 * sleeps until the earliest due time or the tick, whichever comes first.
 */
export function createKeepalive(deps: KeepaliveDeps): Keepalive {
  const { credentials, door, keeper, clock, log, settings } = deps;
  const perHost = new Map<string, number>();
  const running = new Set<Promise<void>>();
  let wake = new AbortController();
  let stopped = false;
  let loop: Promise<void> = Promise.resolve();
  let unsubscribe = () => {};
  let seenAt = Number.NEGATIVE_INFINITY;
  /** Looks in a row that have started nothing. */
  let inVain = 0;
  const worthALook = Math.max(1, Math.floor(settings.in_flight * FREE_SHARE));
  const free = () => settings.in_flight - running.size;

  function count(host: string, by: 1 | -1): void {
    const next = (perHost.get(host) ?? 0) + by;
    if (next > 0) perHost.set(host, next);
    else perHost.delete(host);
  }

  async function refreshOne(credential: DueCredential): Promise<void> {
    const host = hostOf(credential);
    count(host, 1);
    try {
      const canary = credential.next_refresh_reason === 'canary';
      await door.refreshClaimed(credential, canary ? ACTOR.refreshCanary : ACTOR.backgroundRefresh);
    } catch (error) {
      log.warn('a background refresh could not be carried out; it is tried again', {
        connection: connectionLabel(credential.key),
        error,
      });
    } finally {
      count(host, -1);
    }
  }

  function start(credential: DueCredential): void {
    const run = refreshOne(credential).finally(() => {
      running.delete(run);
      // Places are free again: whoever waited behind a full process is looked for at once.
      if (free() === worthALook) wake.abort();
    });
    running.add(run);
  }

  async function beSeen(): Promise<void> {
    const now = clock.monotonic();
    if (now - seenAt < Math.min(SEEN_MS, settings.owner_wait / SIGNS_OF_LIFE)) return;
    const { replica_id, boot_id } = deps.self;
    seenAt = now;
    if (await deps.replicas.seen(replica_id, boot_id)) return;
    log.error(
      "another process has this replica's identity: two processes share one copied data directory; stop one of them",
      {
        replica_id,
      },
    );
  }

  function claim(more: Partial<DueQuery> = {}): Promise<DueCredential[]> {
    const full = [...perHost].filter(([, inFlight]) => inFlight >= settings.per_host).map(([host]) => host);
    const now = clock.now();
    return credentials.claimDue({
      now,
      lease_ms: settings.lease,
      exclude_lock_keys: door.lockKeys(),
      exclude_hosts: full,
      held_before: now - settings.incident_hold,
      replica_id: deps.self.replica_id,
      owner_wait_ms: settings.owner_wait,
      limit: Math.min(CLAIM_LIMIT, free()),
      ...more,
    });
  }

  /** Where many fail, one connection asks at a time, on one replica at a time. */
  async function probe(): Promise<number> {
    if (stopped || free() <= 0) return 0;
    const now = clock.now();
    const { probes, ended } = await deps.incidents.claimProbes(now, now + settings.incident_probe);
    for (const idp_host of ended) {
      log.info('an incident is over: no connection fails at that authorization server any more', { idp_host });
    }
    let started = 0;
    for (const probe_host of probes) {
      for (const credential of await claim({ probe_host, limit: 1 })) {
        start(credential);
        started += 1;
      }
    }
    return started;
  }

  async function runOnce(): Promise<{ started: number }> {
    await beSeen();
    await keeper.recover();
    let started = await probe();
    while (!stopped && free() > 0) {
      const claimed = await claim();
      const before = started;
      for (const credential of claimed) {
        // One claim may bring more rows of a host than it may have in flight: the surplus goes back, others take its place.
        if ((perHost.get(hostOf(credential)) ?? 0) >= settings.per_host) {
          await door.giveBack(credential);
        } else {
          start(credential);
          started += 1;
        }
      }
      if (started === before) break;
    }
    return { started };
  }

  async function untilDue(): Promise<number> {
    const due = await credentials.nextDueAt().catch(() => null);
    const ms = due === null ? settings.refresh_interval : due - clock.now();
    return Math.min(Math.max(ms, MIN_PAUSE_MS), settings.refresh_interval);
  }

  async function pause(): Promise<void> {
    if (free() >= worthALook) await clock.sleep(await untilDue(), wake.signal);
    else {
      // What others hold, or wait for a host, is not found by looking more often.
      const ms = Math.min(REFILL_MS * 2 ** inVain, MIN_PAUSE_MS);
      do await clock.sleep(ms, wake.signal);
      while (free() <= 0 && !wake.signal.aborted);
    }
    if (wake.signal.aborted) wake = new AbortController();
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        const { started } = await runOnce();
        inVain = started > 0 ? 0 : inVain + 1;
      } catch (error) {
        inVain += 1;
        log.warn('the refresher could not read what is due; it tries again', { error });
      }
      if (!stopped) await pause();
    }
  }

  return {
    runOnce,
    start() {
      const { refresh_interval, access_lead, refresh_lead } = settings;
      log.info(
        `connoauth: refresher started interval=${formatDuration(refresh_interval)} access_lead=${formatDuration(access_lead)} refresh_lead=${formatDuration(refresh_lead)}`,
      );
      unsubscribe = deps.notifier.subscribe('credentials', () => {
        if (free() >= worthALook) wake.abort();
      });
      loop = run();
    },
    async stop() {
      stopped = true;
      unsubscribe();
      wake.abort();
      await loop;
      await Promise.all(running);
    },
  };
}
