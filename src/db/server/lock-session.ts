import pg from 'pg';
import { isAppError } from '../../core/errors.ts';
import type { Clock, Locker, Log } from '../../core/ports.ts';
import type { SqlResult } from '../dialect.ts';
import { grouped } from '../grouped.ts';
import { databaseUnavailable } from '../sql-error.ts';
import { cannotReach, describeTarget, isConnectionLoss, isTimeout, translate } from './errors.ts';
import { clientConfig, limit, toResult } from './pool.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** A statement on the session is one row long; one that takes longer means a dead line, and the session is re-dialled. */
const ANSWER_TIMEOUT_MS = 20_000;
/** No transaction ever runs on it, so nothing can be idle in one. */
const LIMITS = { statement: 15_000, lock: 15_000, idle: 0, answer: ANSWER_TIMEOUT_MS };

const MOST_GIVEN_BACK = 64;

type Listener = (payload: string) => void;

export type LockSessionOptions = {
  databaseUrl: string;
  clock: Clock;
  log: Log;
  /** The session is gone, and with it every lock: another replica may hold them by now. */
  onLost?: () => void;
};

/**
 * The one dedicated session of a replica: it holds the advisory locks and listens. Never a pooled connection: waiters
 * on pooled locks starve the pool, and a lock belongs to the session that took it.
 *
 * Advisory locks are re-entrant, so a key that is held here is never asked for again: one lock, one unlock.
 * @see https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 */
export class LockSession implements Locker {
  readonly #options: LockSessionOptions;
  readonly #target: string;
  readonly #held = new Set<bigint>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #closing = new AbortController();
  /** A key of a session that is lost meanwhile is left alone: on the next one it may have been granted anew. */
  readonly #giveBack = grouped<{ lock_key: bigint; client: pg.Client }, void>(
    async (given) => {
      const keys = given.filter(({ client }) => client === this.#client).map(({ lock_key }) => lock_key);
      if (keys.length > 0) {
        await this.#query('select pg_advisory_unlock(key) from unnest($1::bigint[]) as key', [`{${keys.join(',')}}`]);
      }
      return given.map(() => () => undefined);
    },
    { most: MOST_GIVEN_BACK },
  );
  #client: pg.Client | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: LockSessionOptions) {
    this.#options = options;
    this.#target = describeTarget(options.databaseUrl);
  }

  /** @throws AppError `database_unavailable` when the first dial fails; later losses are re-dialled for ever. */
  static async open(options: LockSessionOptions): Promise<LockSession> {
    const session = new LockSession(options);
    try {
      await session.#dial();
    } catch (error) {
      throw cannotReach(error, session.#target);
    }
    return session;
  }

  get connected(): boolean {
    return this.#client !== undefined;
  }

  get heldKeys(): bigint[] {
    return [...this.#held];
  }

  /** False: held here or elsewhere. @throws AppError `database_unavailable` while the session is being re-dialled. */
  async tryLock(lock_key: bigint): Promise<boolean> {
    if (this.#held.has(lock_key)) return false;
    const client = this.#connectedClient();
    this.#held.add(lock_key);
    let granted = false;
    try {
      const { rows } = await this.#query('select pg_try_advisory_lock($1) as granted', [lock_key]);
      granted = rows[0]?.granted === true && this.#client === client;
    } finally {
      if (!granted && this.#client === client) this.#held.delete(lock_key);
    }
    return granted;
  }

  /** Nothing happens for a key that is not held any more: its session, and with it the lock, is gone. */
  async unlock(lock_key: bigint): Promise<void> {
    if (!this.#held.delete(lock_key) || this.#client === undefined) return;
    await this.#giveBack({ lock_key, client: this.#client });
  }

  /**
   * Runs a statement that takes `pg_try_advisory_lock(lock_key)` for each row it returns, and remembers those locks. A
   * row whose lock was held here already is given back and left out: its flight is under way.
   */
  async claim<Row>(statement: string, parameters: readonly unknown[]): Promise<Row[]> {
    const client = this.#connectedClient();
    const { rows } = await this.#query(statement, parameters);
    const claimed: Row[] = [];
    for (const row of rows) {
      const lockKey = row.lock_key;
      if (this.#client !== client)
        throw databaseUnavailable(`The connection to PostgreSQL at ${this.#target} was lost`);
      if (typeof lockKey !== 'bigint') throw new Error('A claim must return lock_key.');
      if (this.#held.has(lockKey)) {
        await this.#query('select pg_advisory_unlock($1)', [lockKey]);
      } else {
        this.#held.add(lockKey);
        claimed.push(row as Row);
      }
    }
    return claimed;
  }

  /**
   * Calls `listener` for each notification, and with an empty payload after a re-dial: anything may have been missed.
   * Returns its end.
   */
  async listen(channel: string, listener: Listener): Promise<() => void> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners);
    listeners.add(listener);
    if (this.#client !== undefined) await this.#query(`listen ${pg.escapeIdentifier(channel)}`, []);
    return () => listeners.delete(listener);
  }

  /** For what must run on this very session. @throws AppError or SqlError */
  async query(sql: string, parameters: readonly unknown[] = []): Promise<SqlResult> {
    return this.#query(sql, parameters);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const client = this.#client;
    this.#client = undefined;
    this.#held.clear();
    await client?.end();
  }

  #connectedClient(): pg.Client {
    if (this.#client !== undefined) return this.#client;
    throw databaseUnavailable(`The connection to PostgreSQL at ${this.#target} is being made again`);
  }

  async #query(sql: string, parameters: readonly unknown[]): Promise<SqlResult> {
    const client = this.#connectedClient();
    // One at a time: the driver's own queue is deprecated, and its time limit would count the waiting.
    const answer = this.#turn.then(() => {
      if (this.#client !== client)
        throw databaseUnavailable(`The connection to PostgreSQL at ${this.#target} was lost`);
      return client.query<Record<string, unknown>>(sql, [...parameters]);
    });
    this.#turn = answer.catch(() => undefined);
    try {
      return toResult(await answer);
    } catch (error) {
      if (isAppError(error)) throw error;
      // A claim that was ended may have taken locks that nobody knows of: they go with the session.
      if (isConnectionLoss(error) || isTimeout(error)) this.#lose(client);
      throw translate(error, this.#target, sql);
    }
  }

  async #dial(): Promise<void> {
    const client = new pg.Client({
      ...clientConfig(this.#options.databaseUrl),
      query_timeout: ANSWER_TIMEOUT_MS,
    });
    client.on('error', () => this.#lose(client));
    client.on('end', () => this.#lose(client));
    client.on('notification', (message) => this.#tell(message.channel, message.payload ?? ''));
    try {
      await client.connect();
      await limit(client, LIMITS);
      for (const channel of this.#listeners.keys()) await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    if (this.#closing.signal.aborted) return client.end();
    this.#turn = Promise.resolve();
    this.#client = client;
  }

  #lose(client: pg.Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#held.clear();
    client.end().catch(() => {});
    this.#options.log.warn('the lock session was lost and is being made again', { target: this.#target });
    this.#options.onLost?.();
    void this.#redial();
  }

  async #redial(): Promise<void> {
    const { clock, log } = this.#options;
    for (let pause = FIRST_PAUSE_MS; !this.#closing.signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.#dial();
        log.info('the lock session is back', { target: this.#target });
        for (const channel of this.#listeners.keys()) this.#tell(channel, '');
        return;
      } catch {
        await clock.sleep(pause, this.#closing.signal);
      }
    }
  }

  #tell(channel: string, payload: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(payload);
  }
}
