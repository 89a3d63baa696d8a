import { type Kysely, type MigrationResultSet, Migrator, NO_MIGRATIONS, sql } from 'kysely';
import { AppError } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { LIFT_LIMITS } from './dialect.ts';
import type { NumberedMigration } from './migrations/index.ts';
import { SqlError } from './sql-error.ts';

/** Keyed `000001_name`: the number orders them. */
export type Migrations = Readonly<Record<string, NumberedMigration>>;

export type MigrateResult =
  | { outcome: 'migrated'; applied: string[] }
  /** A newer version of the server has migrated further, and says that we may run on its schema. */
  | { outcome: 'newer_schema'; unknown: string[] };

export type MigrateOptions = {
  migrations: Migrations;
  log: Log;
  /** The last migration that shall remain applied, for tests and the command line; null: none. Default: the latest. */
  target?: string | null;
};

/** Replicas that start together wait here for each other. Any number of ours that no row's lock key is likely to be. */
const MIGRATION_LOCK = 4_021_776_041n;
const LOCK_WAIT_MS = 120_000;

/**
 * Brings the schema to `target`. Kysely's Migrator refuses a database that knows more migrations than we do, which
 * would break a rolling deployment; so that is looked at first: a newer schema is left alone unless it recorded a
 * breaking migration above our latest one.
 * @throws AppError `database_unavailable` with a sentence when the server must not start on this schema
 */
export async function migrate<T>(db: Kysely<T>, options: MigrateOptions): Promise<MigrateResult> {
  return db.connection().execute(async (connection) => {
    await sql.raw(LIFT_LIMITS).execute(connection);
    await sql`select set_config('lock_timeout', ${String(LOCK_WAIT_MS)}, false)`.execute(connection);
    await sql`select pg_advisory_lock(${MIGRATION_LOCK})`.execute(connection);
    try {
      return await migrateAlone(connection, options);
    } finally {
      await sql`select pg_advisory_unlock(${MIGRATION_LOCK})`.execute(connection);
      await sql`reset lock_timeout`.execute(connection);
    }
  });
}

async function migrateAlone<T>(db: Kysely<T>, options: MigrateOptions): Promise<MigrateResult> {
  const { migrations, log, target } = options;
  await ensureVersionTable(db);
  const known = Object.keys(migrations).sort();
  const executed = await readExecuted(db);
  const unknown = executed.filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    await refuseUnlessCompatible(db, known, unknown);
    log.warn('the database has been migrated by a newer version of the server; its schema is left as it is', {
      unknown,
    });
    return { outcome: 'newer_schema', unknown };
  }
  // The usual start: the Migrator's own look at the schema costs more than everything else here.
  if (target === undefined && executed.length === known.length) return { outcome: 'migrated', applied: [] };
  // Before: an older replica that starts between the migration and this record must already be refused.
  const planned = known.filter((name) => target === undefined || (target !== null && name <= target));
  await recordBreaking(db, migrations, [...executed, ...planned]);
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } });
  const result = await run(migrator, target);
  await recordBreaking(db, migrations, await readExecuted(db));
  const applied = succeeded(result);
  if (applied.length > 0) log.info('the database schema was migrated', { migrations: applied });
  return { outcome: 'migrated', applied };
}

function run(migrator: Migrator, target: string | null | undefined): Promise<MigrationResultSet> {
  if (target === undefined) return migrator.migrateToLatest();
  return migrator.migrateTo(target ?? NO_MIGRATIONS);
}

/** The Migrator reports instead of throwing, and rolls everything back when one migration fails. */
function succeeded({ error, results }: MigrationResultSet): string[] {
  if (error === undefined) return (results ?? []).map((result) => result.migrationName);
  const failed = results?.find((result) => result.status === 'Error')?.migrationName;
  const why = error instanceof SqlError ? ` (SQLSTATE ${error.code})` : '';
  throw new AppError(
    'database_unavailable',
    `The database schema could not be migrated${failed === undefined ? '' : `: ${failed} failed`}${why}. Nothing was ` +
      'changed. Start the version that ran before, and report this.',
    { cause: error },
  );
}

async function ensureVersionTable<T>(db: Kysely<T>): Promise<void> {
  await sql`
    create table if not exists schema_version (
      only_row boolean primary key default true check (only_row),
      breaking_version text not null
    )`.execute(db);
}

async function readExecuted<T>(db: Kysely<T>): Promise<string[]> {
  const table = await sql<{ exists: boolean }>`
    select to_regclass('kysely_migration') is not null as exists`.execute(db);
  if (table.rows[0]?.exists !== true) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map((row) => row.name);
}

async function recordBreaking<T>(db: Kysely<T>, migrations: Migrations, applied: readonly string[]): Promise<void> {
  const breaking = applied.filter((name) => migrations[name]?.breaking === true).sort();
  await sql`
    insert into schema_version (breaking_version) values (${breaking.at(-1) ?? ''})
    on conflict (only_row) do update set breaking_version = excluded.breaking_version`.execute(db);
}

async function refuseUnlessCompatible<T>(db: Kysely<T>, known: string[], unknown: string[]): Promise<void> {
  const ours = known.at(-1) ?? '';
  const { rows } = await sql<{ breaking_version: string }>`select breaking_version from schema_version`.execute(db);
  const breaking = rows[0]?.breaking_version ?? '';
  const newest = unknown.at(-1);
  if (unknown.some((name) => name < ours)) {
    throw new AppError(
      'database_unavailable',
      `The database was migrated by another line of the server (${unknown[0]} is unknown here). Start the version that ` +
        'it belongs to.',
    );
  }
  if (breaking <= ours) return;
  throw new AppError(
    'database_unavailable',
    `The database was migrated by a newer version of the server (to ${newest}), and ${breaking} made it unreadable for ` +
      `this one (${ours}). Start the newer version.`,
  );
}
