import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';

export type SqlRow = Record<string, unknown>;
export type SqlResult = { rows: SqlRow[]; affected: number };

/** Lifts the time limits of the session that runs it, until it is released: the engine gives up its own with them. */
export const LIFT_LIMITS = `select set_config('statement_timeout', '0', false),
  set_config('idle_in_transaction_session_timeout', '0', false)`;

/** One session of an engine, held by one caller until `release`. */
export interface SqlSession {
  query(sql: string, parameters: readonly unknown[]): Promise<SqlResult>;
  release(): void;
}

/** What an engine offers to the query builder. */
export interface SqlSource {
  acquire(): Promise<SqlSession>;
  close(): Promise<void>;
}

/**
 * The one dialect of both engines: PostgreSQL's SQL over whatever hands out sessions.
 *
 * Values read the same on both: int8 (and `count`, and int8 arrays) as bigint, bytea as Buffer, json and jsonb parsed,
 * timestamptz as Date; date, timestamp without zone, interval and numeric as text. Pass json as `JSON.stringify` text:
 * an array given as it is would become a PostgreSQL array on one engine.
 *
 * Inside `transaction()` and `connection()` use only the handle that they give. The embedded engine has one session:
 * asking for a second one while holding the first waits for ever; on a server it would run outside the transaction.
 */
export class SourceDialect implements Dialect {
  readonly #source: SqlSource;

  constructor(source: SqlSource) {
    this.#source = source;
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter();
  }

  createDriver(): Driver {
    return new SourceDriver(this.#source);
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(db);
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler();
  }
}

class SourceConnection implements DatabaseConnection {
  readonly session: SqlSession;

  constructor(session: SqlSession) {
    this.session = session;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, affected } = await this.session.query(query.sql, query.parameters);
    return { rows: rows as R[], numAffectedRows: BigInt(affected) };
  }

  // biome-ignore lint/correctness/useYield: the interface asks for a generator, and there is nothing to yield.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('This dialect does not stream: read in pages.');
  }
}

class SourceDriver implements Driver {
  readonly #source: SqlSource;

  constructor(source: SqlSource) {
    this.#source = source;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SourceConnection> {
    return new SourceConnection(await this.#source.acquire());
  }

  async beginTransaction(connection: SourceConnection, settings: TransactionSettings): Promise<void> {
    const isolation = settings.isolationLevel === undefined ? '' : ` isolation level ${settings.isolationLevel}`;
    const access = settings.accessMode === undefined ? '' : ` ${settings.accessMode}`;
    await connection.session.query(`start transaction${isolation}${access}`, []);
  }

  async commitTransaction(connection: SourceConnection): Promise<void> {
    await connection.session.query('commit', []);
  }

  async rollbackTransaction(connection: SourceConnection): Promise<void> {
    await connection.session.query('rollback', []);
  }

  async savepoint(connection: SourceConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`savepoint "${name}"`));
  }

  async rollbackToSavepoint(connection: SourceConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`rollback to savepoint "${name}"`));
  }

  async releaseSavepoint(connection: SourceConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`release savepoint "${name}"`));
  }

  async releaseConnection(connection: SourceConnection): Promise<void> {
    connection.session.release();
  }

  async destroy(): Promise<void> {
    await this.#source.close();
  }
}
