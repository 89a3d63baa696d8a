import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { sql } from 'kysely';
import { afterEach, describe, expect, inject, it, vi } from 'vitest';
import { openPrepared, prepareDatabase } from '../../src/db/embedded/data-directory.ts';
import { EmbeddedEngine } from '../../src/db/embedded/engine.ts';
import { ENGINE } from '../../src/db/embedded/engine-version.ts';
import { openDatabase } from '../../src/db/open.ts';
import { openEmbeddedForTest, temporaryDirectory, testPorts } from '../support/database.ts';

const directories: string[] = [];

function freshDirectory(): string {
  const directory = temporaryDirectory();
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

const packageJson = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  dependencies: Record<string, string>;
};

describe('the embedded engine', () => {
  it('brings every commit to the disk before it is acknowledged', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    await prepareDatabase(dataDir, inject('databaseImage'));
    const engine = await EmbeddedEngine.open(join(dataDir, 'database'));
    const session = await engine.acquire();
    await session.query('create table kept (id int primary key)', []);
    const before = await engine.syncs();
    for (let id = 0; id < 20; id += 1) await session.query('insert into kept values ($1)', [id]);
    const after = await engine.syncs();
    session.release();
    await engine.close();
    expect(after.files - before.files).toBeGreaterThanOrEqual(20);
  });

  it('syncs the directories that a checkpoint changed', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    await prepareDatabase(dataDir, inject('databaseImage'));
    const engine = await EmbeddedEngine.open(join(dataDir, 'database'));
    const session = await engine.acquire();
    const before = await engine.syncs();
    await session.query('create table grown as select generate_series(1, 1000) as id', []);
    await session.query('select pg_switch_wal()', []);
    await session.query('checkpoint', []);
    const after = await engine.syncs();
    session.release();
    await engine.close();
    expect(after.directories).toBeGreaterThan(before.directories);
  });

  it('holds no template databases, which nobody could vacuum', { timeout: 60_000 }, async () => {
    const dataDir = freshDirectory();
    await prepareDatabase(dataDir, inject('databaseImage'));
    const engine = await EmbeddedEngine.open(join(dataDir, 'database'));
    const session = await engine.acquire();
    const { rows } = await session.query('select datname from pg_database', []);
    session.release();
    await engine.close();
    expect(rows).toEqual([{ datname: 'postgres' }]);
    expect(readdirSync(join(dataDir, 'database', 'base'))).toHaveLength(1);
  });

  it('says why a directory cannot be prepared, while its thread already loads', async () => {
    const dataDir = freshDirectory();
    mkdirSync(join(dataDir, 'database'));
    writeFileSync(join(dataDir, 'database', 'holiday.jpg'), 'not a database');
    await expect(openPrepared(dataDir)).rejects.toMatchObject({ code: 'data_dir' });
  });

  it('is the version that the package pins', () => {
    expect(packageJson.dependencies['@electric-sql/pglite']).toBe(ENGINE.pglite);
  });

  it('rejects what is waiting, and everything after, with one clear sentence when it is closed', async () => {
    const { opened, end } = await openEmbeddedForTest();
    await end();
    await expect(sql`select 1`.execute(opened.db)).rejects.toMatchObject({
      code: 'database_unavailable',
      message: 'The embedded database is closed.',
    });
  });

  it('says once that it is lost, since it never comes back by itself', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    const imagePath = inject('databaseImage');
    const workers: Worker[] = [];
    const remember = (worker: Worker) => workers.push(worker);
    process.on('worker', remember);
    const lost: Error[] = [];
    const onEngineLost = (error: Error) => lost.push(error);
    const opened = await openDatabase({ ...testPorts(), dataDir, imagePath, onEngineLost });
    process.off('worker', remember);
    await sql`select 1`.execute(opened.db);
    expect(lost).toEqual([]);
    await workers.at(-1)?.terminate();
    await vi.waitFor(() => expect(lost).toMatchObject([{ code: 'database_unavailable' }]));
    await expect(sql`select 1`.execute(opened.db)).rejects.toBe(lost[0]);
    await opened.close();
    expect(lost).toHaveLength(1);
  });

  it('is not lost when it is closed', { timeout: 30_000 }, async () => {
    const onEngineLost = vi.fn();
    const imagePath = inject('databaseImage');
    const opened = await openDatabase({ ...testPorts(), dataDir: freshDirectory(), imagePath, onEngineLost });
    await opened.close();
    expect(onEngineLost).not.toHaveBeenCalled();
  });

  it('checkpoints and reuses its log, which nothing else would do', { timeout: 60_000 }, async () => {
    const { opened, dataDir, end } = await openEmbeddedForTest();
    await sql`create table bulk (id int, filler text)`.execute(opened.db);
    for (let round = 0; round < 9; round += 1) {
      await sql`insert into bulk select g, repeat('x', 500) from generate_series(1, 20000) g`.execute(opened.db);
      for (let statement = 0; statement < 300; statement += 1) await sql`select 1`.execute(opened.db);
    }
    const segments = readdirSync(join(dataDir, 'database/pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
    await end();
    expect(segments.length).toBeLessThanOrEqual(7);
  });
});

describe('the first start', () => {
  it('unpacks the prepared image', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    expect(await prepareDatabase(dataDir, inject('databaseImage'))).toBe('image');
    expect(await prepareDatabase(dataDir, inject('databaseImage'))).toBe('existing');
    expect(readdirSync(dataDir)).toEqual(['database']);
  });

  it('runs initdb where there is no image', { timeout: 60_000 }, async () => {
    const dataDir = freshDirectory();
    const opened = await openDatabase({ ...testPorts(), dataDir });
    const { rows } = await sql`select 1 as one`.execute(opened.db);
    await opened.close();
    expect(rows).toEqual([{ one: 1 }]);
  });

  it('leaves an image alone that is damaged or of another engine', { timeout: 60_000 }, async () => {
    const image = join(freshDirectory(), 'image.gz');
    const bytes = readFileSync(inject('databaseImage'));
    const manifest = readFileSync(`${inject('databaseImage')}.json`, 'utf8');
    writeFileSync(image, bytes.subarray(0, bytes.length - 1));
    writeFileSync(`${image}.json`, manifest);
    const { readImage } = await import('../../src/db/embedded/image.ts');
    expect(readImage(image)).toBeUndefined();
    writeFileSync(image, bytes);
    expect(readImage(image)).toBeDefined();
    writeFileSync(`${image}.json`, manifest.replace(ENGINE.pglite, '0.5.0'));
    expect(readImage(image)).toBeUndefined();
  });

  it('begins anew after a crash half-way, from which only an unfinished folder is left', {
    timeout: 30_000,
  }, async () => {
    const dataDir = freshDirectory();
    mkdirSync(join(dataDir, 'database.new-abc123/base'), { recursive: true });
    expect(await prepareDatabase(dataDir, inject('databaseImage'))).toBe('image');
    expect(existsSync(join(dataDir, 'database.new-abc123'))).toBe(false);
  });

  it.each(['', '\0\0', 'eighteen'])('says that a database is damaged whose version reads %j', async (version) => {
    const dataDir = freshDirectory();
    mkdirSync(join(dataDir, 'database'));
    writeFileSync(join(dataDir, 'database/PG_VERSION'), version);
    await expect(prepareDatabase(dataDir)).rejects.toThrow(/is damaged: its PG_VERSION names no version\. Restore it/);
  });

  it('refuses a directory of another PostgreSQL, and of another PGlite', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    await prepareDatabase(dataDir, inject('databaseImage'));
    const marker = join(dataDir, 'database/mcp-data-platform.json');
    writeFileSync(marker, '{"pglite":"0.4.2","postgres_major":"18"}');
    await expect(prepareDatabase(dataDir)).rejects.toThrow(
      /made by PostgreSQL 18 \(PGlite 0\.4\).*mcp-data-platform export FILE.*mcp-data-platform import FILE/,
    );
    rmSync(marker);
    writeFileSync(join(dataDir, 'database/PG_VERSION'), '17\n');
    await expect(prepareDatabase(dataDir)).rejects.toThrow(/made by PostgreSQL 17/);
  });

  it('refuses a folder that holds something else', async () => {
    const dataDir = freshDirectory();
    mkdirSync(join(dataDir, 'database'));
    writeFileSync(join(dataDir, 'database/holiday.jpg'), '');
    await expect(prepareDatabase(dataDir)).rejects.toThrow('is not a database of this server and not empty');
  });
});
