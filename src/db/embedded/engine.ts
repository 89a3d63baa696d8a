import { Worker } from 'node:worker_threads';
import type { AppError } from '../../core/errors.ts';
import type { SqlResult, SqlRow, SqlSession, SqlSource } from '../dialect.ts';
import { databaseUnavailable, SqlError } from '../sql-error.ts';
import { ENGINE, ENGINE_FILE } from './engine-version.ts';
import type { SyncCounters, WorkerAnswer, WorkerReply, WorkerRequest } from './worker-protocol.ts';

type Waiting = { resolve(answer: WorkerAnswer): void; reject(error: Error): void; statement: string };

/** Standing alone, PostgreSQL neither checkpoints nor vacuums by itself: both are done after this much log. */
const MAINTENANCE_WAL_BYTES = 48 * 1024 * 1024;
/** How many statements pass between two looks at the size of the log. */
const MAINTENANCE_STATEMENTS = 2_000;

/**
 * The embedded PostgreSQL, in a worker thread: it computes synchronously and would stall everything else. It has one
 * session, so `acquire` hands it to one caller at a time, in the order of asking.
 */
export class EmbeddedEngine implements SqlSource {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #ended: AppError | undefined;
  #tail: Promise<void> = Promise.resolve();
  #statements = 0;
  #maintainedAt = 0n;
  #onLost: ((error: AppError) => void) | undefined;

  private constructor() {
    // Options of our own command line (`--input-type`, `--inspect-brk`) are not meant for this thread.
    const options = { execArgv: [], stdout: true, stderr: true };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), options);
    // The engine's own messages may quote values: they are drained and dropped.
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    this.#worker.on('message', (reply: WorkerReply) => this.#receive(reply));
    this.#worker.on('error', () => this.#end('The embedded database crashed. Start the server again'));
    this.#worker.on('messageerror', () => this.#end('The embedded database answered unreadably'));
    this.#worker.on('exit', (code) => this.#end(`The embedded database ended (exit ${code}). Start the server again`));
  }

  /**
   * Opens a prepared directory and proves that what it acknowledges reaches the disk. A promise of one is waited for
   * while the thread loads. `onLost`: called once when the engine ends without `close`; it does not come back in this
   * process.
   */
  static async open(prepared: string | Promise<string>, onLost?: (error: AppError) => void): Promise<EmbeddedEngine> {
    const engine = new EmbeddedEngine();
    const directory = await Promise.resolve(prepared).catch(async (error: unknown) => {
      await engine.#worker.terminate();
      throw error;
    });
    try {
      await engine.#call({ op: 'open', directory });
      await engine.selfCheck();
      engine.#maintainedAt = await engine.#walPosition();
      engine.#onLost = onLost;
      return engine;
    } catch (error) {
      await engine.#worker.terminate();
      if (error instanceof Error && error.name === 'AppError') throw error;
      throw databaseUnavailable(`The embedded database in ${directory} cannot be opened; its files may be damaged`);
    }
  }

  /** Runs initdb in an empty directory, in a thread of its own: it needs some 500 MB that only a thread's end gives back. */
  static async initialise(directory: string): Promise<void> {
    const engine = new EmbeddedEngine();
    try {
      const marker = { file: ENGINE_FILE, text: `${JSON.stringify(ENGINE)}\n` };
      await engine.#call({ op: 'initialise', directory, marker });
    } catch {
      throw databaseUnavailable(`The embedded database could not be created in ${directory}; is the disk full?`);
    } finally {
      await engine.#worker.terminate();
    }
  }

  /** How often data was brought to the disk since the engine was opened. */
  async syncs(): Promise<SyncCounters> {
    return (await this.#call({ op: 'syncs' })).syncs ?? { files: 0, directories: 0 };
  }

  /**
   * Counts syncs around one committed write, and refuses an engine that makes none: it would lose acknowledged tokens
   * at a power cut.
   */
  async selfCheck(): Promise<void> {
    const before = await this.syncs();
    await this.#query("select pg_logical_emit_message(true, 'self-check', '')", []);
    const after = await this.syncs();
    if (after.files > before.files) return;
    throw databaseUnavailable(
      'The embedded database does not bring commits to the disk (no fsync was counted), so it must not hold tokens. ' +
        'Reinstall the server with its exact dependencies, or set DATABASE_URL',
    );
  }

  async acquire(): Promise<SqlSession> {
    const release = await this.#turn();
    if (this.#ended !== undefined) {
      release();
      throw this.#ended;
    }
    return {
      query: (sql, parameters) => this.#query(sql, parameters),
      release: () => {
        if (this.#statements < MAINTENANCE_STATEMENTS || this.#ended !== undefined) return release();
        this.#statements = 0;
        this.#maintain().then(release, release);
      },
    };
  }

  /** Waits for the caller that holds the session, then closes cleanly. */
  async close(): Promise<void> {
    this.#onLost = undefined;
    const release = await this.#turn();
    try {
      if (this.#ended === undefined) await this.#call({ op: 'close' });
    } finally {
      this.#ended ??= databaseUnavailable('The embedded database is closed');
      await this.#worker.terminate();
      release();
    }
  }

  async #turn(): Promise<() => void> {
    const before = this.#tail;
    let release: () => void = () => {};
    this.#tail = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return release;
  }

  async #query(sql: string, parameters: readonly unknown[]): Promise<SqlResult> {
    this.#statements += 1;
    const answer = await this.#call({ op: 'query', sql, parameters: parameters.map(toWorker) });
    return { rows: (answer.rows ?? []).map(fromWorker), affected: answer.affected ?? 0 };
  }

  async #walPosition(): Promise<bigint> {
    const { rows } = await this.#query("select (pg_current_wal_insert_lsn() - '0/0')::int8 as position", []);
    return BigInt(String(rows[0]?.position ?? 0));
  }

  async #maintain(): Promise<void> {
    const position = await this.#walPosition();
    if (position - this.#maintainedAt < MAINTENANCE_WAL_BYTES) return;
    await this.#query('vacuum (analyze)', []);
    await this.#query('checkpoint', []);
    this.#maintainedAt = await this.#walPosition();
  }

  #call(request: WorkerRequest): Promise<WorkerAnswer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, statement: request.op === 'query' ? request.sql : request.op });
      this.#worker.postMessage({ ...request, id });
    });
  }

  #receive(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) {
      waiting?.resolve(reply.answer);
    } else if (reply.fatal) {
      const stopped = this.#end(
        'The embedded database stopped: a write to the disk failed or the engine crashed. Start the server again',
      );
      waiting?.reject(stopped);
      void this.#worker.terminate();
    } else {
      waiting?.reject(new SqlError(reply.refusal ?? { code: 'XX000' }, waiting.statement));
    }
  }

  #end(what: string): AppError {
    const ended = this.#ended ?? databaseUnavailable(what);
    this.#ended = ended;
    for (const waiting of this.#waiting.values()) waiting.reject(ended);
    this.#waiting.clear();
    this.#onLost?.(ended);
    this.#onLost = undefined;
    return ended;
  }
}

/** A Buffer is a view: cloned as it is, it would carry its whole pool along, other callers' bytes too. */
function toWorker(value: unknown): unknown {
  return value instanceof Uint8Array ? Uint8Array.from(value) : value;
}

function fromWorker(row: SqlRow): SqlRow {
  for (const [name, value] of Object.entries(row)) {
    if (value instanceof Uint8Array) row[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  return row;
}
