import pg from 'pg';
import type { Log } from '../../core/ports.ts';
import type { SqlResult, SqlSession, SqlSource } from '../dialect.ts';
import { LIFT_LIMITS } from '../dialect.ts';
import { cannotReach, describeTarget, isConnectionLoss, translate } from './errors.ts';
import { valueTypes } from './types.ts';

/** Few statements run at once: the hot path of a tool call touches no database. */
const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** The system's own default of two hours would keep a dead line for as long. */
const KEEP_ALIVE_MS = 10_000;

/** Milliseconds; 0: no limit. */
export type Limits = {
  statement: number;
  /** The waiting for one lock. */
  lock: number;
  /** A transaction whose process stalls must not keep its rows for ever. */
  idle: number;
  /** How long this side waits for an answer: longer than `statement`, since it ends a connection, for a dead line. */
  answer: number;
};

const LIMITS: Limits = { statement: 30_000, lock: 20_000, idle: 30_000, answer: 35_000 };

export const APPLICATION_NAME = 'mcp-data-platform';

/** The part of a driver's client that is used, so that a test can stand in for a pooler. */
export type ServerClient = Pick<pg.PoolClient, 'query' | 'release'>;
export type ServerPool = { connect(): Promise<ServerClient>; end(): Promise<void> };

export function clientConfig(databaseUrl: string): pg.ClientConfig {
  return {
    connectionString: databaseUrl,
    application_name: APPLICATION_NAME,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: valueTypes,
  };
}

/** Set once connected: as start-up parameters, poolers refuse them. */
export async function limit(client: pg.ClientBase, { statement, lock, idle, answer }: Limits): Promise<void> {
  const text = `select set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
    set_config('idle_in_transaction_session_timeout', $3, false)`;
  await client.query({ text, values: [statement, lock, idle].map(String), query_timeout: answer } as pg.QueryConfig);
}

export function openPool(databaseUrl: string, log: Log, limits = LIMITS): pg.Pool {
  // pg waits for the promise before it hands the connection out; its types do not say so yet.
  const onConnect: (client: pg.ClientBase) => unknown = (client) => {
    // The pool hears only its idle connections. One that is lost in somebody's hands, between two statements of a
    // transaction, would end the process; its holder learns of the loss from its next statement.
    client.on('error', () => {});
    return limit(client, limits);
  };
  const pool = new pg.Pool({ ...clientConfig(databaseUrl), max: POOL_SIZE, onConnect });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', () => log.warn('an idle database connection was lost', { target: describeTarget(databaseUrl) }));
  return pool;
}

/** A server's pool behind the same interface as the embedded engine. */
export class ServerSource implements SqlSource {
  readonly #pool: ServerPool;
  readonly #target: string;
  readonly #limits: Limits;

  constructor(pool: ServerPool, target: string, limits = LIMITS) {
    this.#pool = pool;
    this.#target = target;
    this.#limits = limits;
  }

  async acquire(): Promise<SqlSession> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw cannotReach(error, this.#target);
    });
    let lost: Error | undefined;
    let query_timeout = this.#limits.answer;
    return {
      query: async (text, parameters): Promise<SqlResult> => {
        // The driver would queue a rollback behind the statement that never ends.
        if (lost !== undefined) throw lost;
        if (text === LIFT_LIMITS) query_timeout = 0;
        // The types of the driver do not know that a query may have its own time limit.
        const query = { text, values: [...parameters], query_timeout } as pg.QueryConfig;
        try {
          return toResult(await client.query<Record<string, unknown>>(query));
        } catch (error) {
          const translated = translate(error, this.#target, text);
          if (isConnectionLoss(error)) lost = translated;
          throw translated;
        }
      },
      // A connection whose limits were lifted does not return to the pool.
      release: () => client.release(lost !== undefined || query_timeout === 0),
    };
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'COPY']);

export function toResult(result: pg.QueryResult<Record<string, unknown>>): SqlResult {
  return { rows: result.rows ?? [], affected: CHANGING.has(result.command) ? (result.rowCount ?? 0) : 0 };
}
