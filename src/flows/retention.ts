import type {
  AccessStore,
  AuthEventStore,
  CallRecordStore,
  Clock,
  ConsentStore,
  Locker,
  Log,
  ToolChangeStore,
} from '../core/ports.ts';

export type RetentionDeps = {
  events: Pick<AuthEventStore, 'prune'>;
  consents: Pick<ConsentStore, 'prune'>;
  access: Pick<AccessStore, 'pruneExpired'>;
  calls: Pick<CallRecordStore, 'prune'>;
  toolChanges: Pick<ToolChangeStore, 'prune'>;
  locker: Locker;
  clock: Clock;
  log: Log;
  /** How long the history is kept, in milliseconds. */
  event_retention: number;
  /** How long the records of calls are kept, in milliseconds. */
  call_retention: number;
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
  const { events, consents, access, calls, locker, clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  async function inBatches(prune: (limit: number) => Promise<number>): Promise<number> {
    let deleted = 0;
    for (;;) {
      const batch = await prune(BATCH);
      deleted += batch;
      if (batch < BATCH || stopping.signal.aborted) return deleted;
    }
  }

  async function prune(): Promise<{ events: number }> {
    const now = clock.now();
    const deleted = await inBatches((limit) => events.prune(now - deps.event_retention, limit));
    const changes = await inBatches((limit) => deps.toolChanges.prune(now - deps.event_retention, limit));
    const records = await inBatches((limit) => calls.prune(now - deps.call_retention, limit));
    await consents.prune(now);
    await access.pruneExpired(now);
    if (deleted > 0) log.info('old events were deleted', { events: deleted });
    if (changes > 0) log.info('old changes of tools were deleted', { changes });
    if (records > 0) log.info('old records of calls were deleted', { calls: records });
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
