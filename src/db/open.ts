import { Kysely } from 'kysely';
import { AppError } from '../core/errors.ts';
import type { Clock, Locker, Log, Notifier, NotifyChannel, Random } from '../core/ports.ts';
import { SourceDialect } from './dialect.ts';
import type { DueClaimer } from './due-credentials.ts';
import { openPrepared, type PreparedEngine } from './embedded/data-directory.ts';
import { acquireOwnership, isOwnedHere } from './embedded/owner-lock.ts';
import type { Database } from './schema.ts';
import { openServer } from './server/server-database.ts';

export type OpenDatabaseOptions = {
  /** Unset: the embedded engine in `dataDir`. */
  databaseUrl?: string | undefined;
  dataDir: string;
  log: Log;
  clock: Clock;
  random: Random;
  /** The prepared image of a first start; without it, or with one of another engine, initdb runs. */
  imagePath?: string | undefined;
  /** Another replica may hold what we held: flights go on, their intents protect them. */
  onLockSessionLost?: () => void;
  /**
   * The embedded engine ended by itself and does not come back here: whoever serves must exit, so that its lock goes to
   * a process that opens the directory anew. Called once, never for `close`.
   */
  onEngineLost?: ((error: AppError) => void) | undefined;
  /** `openPrepared` of this directory, begun earlier with the two options above. */
  engineAhead?: Promise<PreparedEngine> | undefined;
};

export type OpenDatabase = {
  db: Kysely<Database>;
  engine: 'embedded' | 'postgresql';
  locker: Locker;
  notifier: Notifier;
  /** Runs the one statement that locks what it selects, on the session that holds the locks; none when embedded. */
  claimer: DueClaimer | undefined;
  /** Waits for what runs, then closes. The ownership of the data directory is given back only if it was taken here. */
  close(): Promise<void>;
};

/** Opens the database, whichever it is. Its schema is `migrate`'s business. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { databaseUrl } = options;
  return databaseUrl === undefined ? openEmbedded(options) : openPostgresql({ ...options, databaseUrl });
}

async function openEmbedded(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { dataDir, imagePath, onEngineLost, engineAhead, log } = options;
  const giveBack = await ensureOwned(dataDir);
  try {
    const opening = engineAhead ?? openPrepared(dataDir, imagePath, onEngineLost);
    const { engine: source, preparation } = await opening;
    log.debug('the embedded database is open', { preparation });
    const db = new Kysely<Database>({ dialect: new SourceDialect(source) });
    const close = async () => {
      await source.close();
      await giveBack();
    };
    return { db, engine: 'embedded', locker: openLocker, notifier: processNotifier(), claimer: undefined, close };
  } catch (error) {
    await giveBack();
    throw error;
  }
}

async function openPostgresql(options: OpenDatabaseOptions & { databaseUrl: string }): Promise<OpenDatabase> {
  const { source, session, notifier } = await openServer(options);
  const db = new Kysely<Database>({ dialect: new SourceDialect(source) });
  const close = async () => {
    await session.close();
    await source.close();
  };
  const claimer: DueClaimer = { query: (statement, parameters) => session.claim(statement, parameters) };
  return { db, engine: 'postgresql', locker: session, notifier, claimer, close };
}

/** Two processes on one directory would silently lose each other's rows: nothing opens it without its lock. */
async function ensureOwned(dataDir: string): Promise<() => Promise<void>> {
  if (isOwnedHere(dataDir)) return async () => {};
  const ownership = await acquireOwnership(dataDir);
  if (ownership.owned) return ownership.release;
  throw new AppError(
    'data_dir',
    `The data directory ${dataDir} is in use by another process of this server. Stop that one, or choose another --data-dir.`,
  );
}

/** One process, one session: an advisory lock would be re-entrant and exclude nothing. */
const openLocker: Locker = {
  tryLock: async () => true,
  unlock: async () => {},
};

function processNotifier(): Notifier {
  const listeners = new Map<NotifyChannel, Set<(payload: string) => void>>();
  return {
    async publish(channel, payload) {
      for (const listener of listeners.get(channel) ?? []) queueMicrotask(() => listener(payload));
    },
    subscribe(channel, listener) {
      const subscribed = listeners.get(channel) ?? new Set();
      listeners.set(channel, subscribed);
      subscribed.add(listener);
      return () => subscribed.delete(listener);
    },
  };
}
