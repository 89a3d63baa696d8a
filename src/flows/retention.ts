import type { AccessStore, AuthEventStore, Clock, ConsentStore, Locker, Log } from '../core/ports.ts';

export type RetentionDeps = {
  events: Pick<AuthEventStore, 'prune'>;
  consents: Pick<ConsentStore, 'prune'>;
  access: Pick<AccessStore, 'pruneExpired'>;
  locker: Locker;
  clock: Clock;
  log: Log;
  /** How long the history is kept, in milliseconds. */
  event_retention: number;
};

const DAY_MS = 86_400_000;
/** Soon after start: a server that is restarted daily must still prune. */
const FIRST_MS = 60_000;
const BATCH = 1_000;
/** Any number that is no connection's key; the same on every replica, so that one prunes at a time. */
const PRUNE_LOCK = 0x70_72_75_6e_65n;

export interface Retention {
  start(): void;
  runOnce(): Promise<{ events: number }>;
  stop(): Promise<void>;
}

/** Deletes what has outlived its use, in batches, one replica at a time. It changes no token and no state. */
export function createRetention(deps: RetentionDeps): Retention {
  const { events, consents, access, locker, clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  async function prune(): Promise<{ events: number }> {
    const now = clock.now();
    let deleted = 0;
    for (;;) {
      const batch = await events.prune(now - deps.event_retention, BATCH);
      deleted += batch;
      if (batch < BATCH || stopping.signal.aborted) break;
    }
    await consents.prune(now);
    await access.pruneExpired(now);
    if (deleted > 0) log.info('old events were deleted', { events: deleted });
    return { events: deleted };
  }

  async function runOnce(): Promise<{ events: number }> {
    if (!(await locker.tryLock(PRUNE_LOCK))) return { events: 0 };
    try {
      return await prune();
    } finally {
      await locker.unlock(PRUNE_LOCK);
    }
  }

  return {
    runOnce,
    start() {
      const { signal } = stopping;
      loop = (async () => {
        await clock.sleep(FIRST_MS, signal);
        while (!signal.aborted) {
          await runOnce().catch((error) =>
            log.warn('old events could not be deleted; tried again tomorrow', { error }),
          );
          await clock.sleep(DAY_MS, signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
