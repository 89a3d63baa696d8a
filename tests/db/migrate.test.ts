import { type Kysely, sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Migrations, migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import { type OpenDatabase, openDatabase } from '../../src/db/open.ts';
import { openEmbeddedForTest, openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';

const log = recordingLog();
const names = Object.keys(migrations);

function creating(table: string, breaking = false): Migrations[string] {
  return {
    up: async (db: Kysely<unknown>) => {
      await sql.raw(`create table ${table} (id int)`).execute(db);
    },
    down: async (db: Kysely<unknown>) => {
      await sql.raw(`drop table ${table}`).execute(db);
    },
    breaking,
  };
}

async function columns({ db }: OpenDatabase): Promise<unknown[]> {
  const { rows } = await sql`
    select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
    where table_schema = 'public' and table_name not like 'kysely_%' and table_name <> 'schema_version'
    order by table_name, column_name`.execute(db);
  return rows;
}

describe.each([
  { engine: 'embedded', start: openEmbeddedForTest },
  { engine: 'postgresql', start: openPostgresqlForTest },
])('migrations ($engine)', ({ start }) => {
  let started: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    started = await start();
  }, 60_000);
  afterEach(async () => {
    await sql`delete from kysely_migration where name > '9'`.execute(started.opened.db);
    await sql`drop table if exists newer, breaking_one`.execute(started.opened.db);
    await migrate(started.opened.db, { migrations, log, target: null });
  });
  afterAll(() => started.end());

  it('run up, all the way down, and up again to the same schema', { timeout: 30_000 }, async () => {
    const { opened } = started;
    expect(await migrate(opened.db, { migrations, log })).toEqual({ outcome: 'migrated', applied: names });
    const first = await columns(opened);
    expect(await migrate(opened.db, { migrations, log })).toEqual({ outcome: 'migrated', applied: [] });
    await migrate(opened.db, { migrations, log, target: null });
    expect(await columns(opened)).toEqual([]);
    await migrate(opened.db, { migrations, log });
    expect(await columns(opened)).toEqual(first);
  });

  it('run down to a named one', async () => {
    const { opened } = started;
    await migrate(opened.db, { migrations, log });
    const { applied } = (await migrate(opened.db, { migrations, log, target: names[0]! })) as { applied: string[] };
    expect(applied).toEqual(names.slice(1).reverse());
  });

  it('leave a newer schema alone that did not break anything', async () => {
    const { opened } = started;
    await migrate(opened.db, { migrations: { ...migrations, '900001_newer': creating('newer') }, log });
    expect(await migrate(opened.db, { migrations, log })).toEqual({
      outcome: 'newer_schema',
      unknown: ['900001_newer'],
    });
  });

  it('refuse to start on a newer schema that broke something', async () => {
    const { opened } = started;
    const newer = { '900001_newer': creating('newer'), '900002_breaking': creating('breaking_one', true) };
    await migrate(opened.db, { migrations: { ...migrations, ...newer }, log });
    await expect(migrate(opened.db, { migrations, log })).rejects.toThrow(
      /newer version of the server \(to 900002_breaking\).*Start the newer version/,
    );
    await migrate(opened.db, { migrations: { ...migrations, ...newer }, log, target: '900001_newer' });
    expect(await migrate(opened.db, { migrations, log })).toMatchObject({ outcome: 'newer_schema' });
  });

  it('change nothing when one of them fails', async () => {
    const { opened } = started;
    const broken: Migrations = {
      ...migrations,
      '900001_newer': creating('newer'),
      '900002_fails': { up: async (db: Kysely<unknown>) => void (await sql`select broken`.execute(db)) },
    };
    await expect(migrate(opened.db, { migrations: broken, log })).rejects.toThrow(
      'The database schema could not be migrated: 900002_fails failed (SQLSTATE 42703). Nothing was changed.',
    );
    expect(await columns(opened)).toEqual([]);
  });
});

describe('replicas that start together', () => {
  it('do not collide', { timeout: 60_000 }, async () => {
    const { opened, databaseUrl, end } = await openPostgresqlForTest();
    const others = await Promise.all([1, 2].map(() => openDatabase({ ...testPorts(), dataDir: '/', databaseUrl })));
    const results = await Promise.all([opened, ...others].map(({ db }) => migrate(db, { migrations, log })));
    const applied = results.map((result) => (result.outcome === 'migrated' ? result.applied : ['?']));
    for (const other of others) await other.close();
    await end();
    expect(applied.filter((list) => list.length > 0)).toEqual([names]);
  });
});
