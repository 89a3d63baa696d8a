import pg from 'pg';
import type { Log } from '../../core/ports.ts';
import type { SqlResult, SqlSession, SqlSource } from '../dialect.ts';
import { cannotReach, describeTarget, isConnectionLoss, translate } from './errors.ts';
import { valueTypes } from './types.ts';

/** Few statements run at once: the hot path of a tool call touches no database. */
const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** The system's own default of two hours would keep a dead line for as long. */
const KEEP_ALIVE_MS = 10_000;

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

export function openPool(databaseUrl: string, log: Log): pg.Pool {
  const pool = new pg.Pool({ ...clientConfig(databaseUrl), max: POOL_SIZE });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', () => log.warn('an idle database connection was lost', { target: describeTarget(databaseUrl) }));
  return pool;
}

/** A server's pool behind the same interface as the embedded engine. */
export class ServerSource implements SqlSource {
  readonly #pool: ServerPool;
  readonly #target: string;

  constructor(pool: ServerPool, target: string) {
    this.#pool = pool;
    this.#target = target;
  }

  async acquire(): Promise<SqlSession> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw cannotReach(error, this.#target);
    });
    let lost = false;
    return {
      query: async (sql, parameters): Promise<SqlResult> => {
        try {
          return toResult(await client.query<Record<string, unknown>>(sql, [...parameters]));
        } catch (error) {
          lost ||= isConnectionLoss(error);
          throw translate(error, this.#target, sql);
        }
      },
      release: () => client.release(lost),
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
