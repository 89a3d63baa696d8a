import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, inject } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import { type OpenDatabase, openDatabase } from '../../src/db/open.ts';
import { createDatabase } from '../tools/postgres.mjs';
import { NOT_IN_MEMORY } from './memory-cases.ts';
import { createMemoryDatabase } from './memory-tables.ts';
import { recordingLog } from './recording-log.ts';

export { recordingLog };

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'mcp-data-platform-test-'));
}

/** An embedded database in a fresh directory, from the prepared image; `end` closes it and removes the directory. */
export async function openEmbeddedForTest(): Promise<{ opened: OpenDatabase; dataDir: string; end(): Promise<void> }> {
  const dataDir = temporaryDirectory();
  const opened = await openDatabase({ ...testPorts(), dataDir, imagePath: inject('databaseImage') });
  const end = async () => {
    await opened.close();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { opened, dataDir, end };
}

/** A fresh database on the PostgreSQL of this run; `end` closes and drops it. */
export async function openPostgresqlForTest(): Promise<{
  opened: OpenDatabase;
  databaseUrl: string;
  end(): Promise<void>;
}> {
  const { url, drop } = await createDatabase(inject('postgresUrl'));
  const opened = await openDatabase({ ...testPorts(), dataDir: tmpdir(), databaseUrl: url });
  const end = async () => {
    await opened.close();
    await drop();
  };
  return { opened, databaseUrl: url, end };
}

export function testPorts() {
  return { clock: systemClock, log: recordingLog(), random: systemRandom };
}

/**
 * Runs one suite against both engines. Each engine is opened and migrated once; every test begins with empty tables.
 * `opened()` is for use inside tests and hooks.
 */
export function describeOnBothEngines(name: string, suite: (opened: () => OpenDatabase) => void): void {
  const engines = [
    { engine: 'embedded', start: openEmbeddedForTest },
    { engine: 'postgresql', start: openPostgresqlForTest },
  ];
  describe.each(engines)(`${name} ($engine)`, ({ start }) => {
    let started: Awaited<ReturnType<typeof start>> | undefined;
    const opened = (): OpenDatabase => {
      if (started === undefined) throw new Error('The database is open only inside tests and hooks.');
      return started.opened;
    };
    beforeAll(async () => {
      started = await start();
      await migrate(started.opened.db, { migrations, log: recordingLog() });
    }, 60_000);
    beforeEach(() => emptyTables(opened()));
    afterAll(async () => {
      await started?.end();
    });
    suite(opened);
  });
}

/** Runs one suite against both engines, and against the stores in memory: where they agree, either tells of the flows. */
export function describeOnEveryStore(name: string, suite: (opened: () => OpenDatabase) => void): void {
  describeOnBothEngines(name, suite);
  describe(`${name} (memory)`, () => {
    let database = createMemoryDatabase();
    beforeEach(({ task, skip }) => {
      database = createMemoryDatabase();
      const reason = NOT_IN_MEMORY.get(task.name);
      if (reason !== undefined) skip(reason);
    });
    suite(() => database);
  });
}

export async function emptyTables({ db }: OpenDatabase): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select quote_ident(tablename) as name from pg_tables
    where schemaname = 'public' and tablename not like 'kysely_%' and tablename <> 'schema_version'`.execute(db);
  if (rows.length === 0) return;
  await sql.raw(`truncate ${rows.map((row) => row.name).join(', ')} cascade`).execute(db);
}
