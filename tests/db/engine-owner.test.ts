import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { lockWithProgram, lockWithSocket } from '../../src/db/embedded/directory-lock.ts';
import { kindFromMounts } from '../../src/db/embedded/file-system-kind.ts';
import { readOwnerRecord, writeOwnerRecord } from '../../src/db/embedded/owner-file.ts';
import { acquireOwnership } from '../../src/db/embedded/owner-lock.ts';
import { openDatabase } from '../../src/db/open.ts';
import { compileSource } from '../support/compiled-source.ts';
import { temporaryDirectory, testPorts } from '../support/database.ts';

let source: ReturnType<typeof compileSource>;
const children: ChildProcess[] = [];
const directories: string[] = [];

beforeAll(() => {
  source = compileSource();
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});
afterAll(() => source.remove());

function freshDirectory(): string {
  const directory = temporaryDirectory();
  directories.push(directory);
  return directory;
}

function startChild(program: string): { child: ChildProcess; lines: string[] } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
  return { child, lines };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function owner(dataDir: string): string {
  return `
    import { acquireOwnership } from ${JSON.stringify(source.url('db/embedded/owner-lock.js'))};
    const ownership = await acquireOwnership(${JSON.stringify(dataDir)});
    console.log(ownership.owned ? 'owned' : 'refused');
    setInterval(() => {}, 1000);`;
}

function writer(dataDir: string): string {
  return `
    import { openDatabase } from ${JSON.stringify(source.url('db/open.js'))};
    import { systemClock, systemRandom } from ${JSON.stringify(source.url('clock.js'))};
    import { sql } from 'kysely';
    const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
    const { db } = await openDatabase({ dataDir: ${JSON.stringify(dataDir)}, log, clock: systemClock,
      random: systemRandom, imagePath: ${JSON.stringify(inject('databaseImage'))} });
    await sql\`create table written (id int primary key)\`.execute(db);
    for (let id = 0; ; id += 1) {
      await sql\`insert into written values (\${id})\`.execute(db);
      console.log(id);
    }`;
}

describe('the owner of a data directory', () => {
  it('is one process, and the next one after it was killed (protocol rule 22)', { timeout: 30_000 }, async () => {
    const dataDir = freshDirectory();
    const { child, lines } = startChild(owner(dataDir));
    await vi.waitFor(() => expect(lines).toEqual(['owned']), { timeout: 15_000 });
    expect(await acquireOwnership(dataDir)).toEqual({ owned: false });
    await expect(openDatabase({ ...testPorts(), dataDir })).rejects.toThrow('in use by another process');
    await kill(child);
    const ownership = await acquireOwnership(dataDir);
    expect(ownership.owned).toBe(true);
    if (ownership.owned) await ownership.release();
  });

  it('is exactly one of several that ask at once', async () => {
    const dataDir = freshDirectory();
    const asked = await Promise.all(Array.from({ length: 5 }, () => acquireOwnership(dataDir)));
    expect(asked.filter((ownership) => ownership.owned)).toHaveLength(1);
    for (const ownership of asked) if (ownership.owned) await ownership.release();
  });

  it('gives the directory back', async () => {
    const dataDir = freshDirectory();
    const first = await acquireOwnership(dataDir);
    if (first.owned) await first.release();
    const second = await acquireOwnership(dataDir);
    expect([first.owned, second.owned]).toEqual([true, true]);
    if (second.owned) await second.release();
  });

  it.runIf(process.platform === 'linux')('is excluded by each of the two locks alone', async () => {
    const dataDir = freshDirectory();
    const file = join(dataDir, 'lock');
    const program = lockWithProgram(file);
    expect([program.outcome, lockWithProgram(file).outcome]).toEqual(['held', 'taken']);
    if (program.outcome === 'held') await program.lock.release();
    expect(lockWithProgram(file, ['/nowhere/flock']).outcome).toBe('unsupported');
    const socket = await lockWithSocket(dataDir);
    expect([socket.outcome, (await lockWithSocket(dataDir)).outcome]).toEqual(['held', 'taken']);
    if (socket.outcome === 'held') await socket.lock.release();
  });

  it('is told which directory cannot be written', async () => {
    const file = join(freshDirectory(), 'file');
    writeFileSync(file, '');
    await expect(acquireOwnership(join(file, 'data'))).rejects.toMatchObject({
      code: 'data_dir',
      message: expect.stringContaining(join(file, 'data')),
    });
  });

  it('leaves a record that only its user can read, and takes it along', async () => {
    const dataDir = freshDirectory();
    const ownership = await acquireOwnership(dataDir);
    const record = { address: 'http://127.0.0.1:8080', attach_secret: 's', pid: 7, started_at: '2026-01-01T00:00:00Z' };
    writeOwnerRecord(dataDir, record);
    expect(readOwnerRecord(dataDir)).toEqual(record);
    expect(statSync(join(dataDir, 'owner.json')).mode & 0o777).toBe(0o600);
    if (ownership.owned) await ownership.release();
    expect(readOwnerRecord(dataDir)).toBeUndefined();
    writeFileSync(join(dataDir, 'owner.json'), '{"address":');
    expect(readOwnerRecord(dataDir)).toBeUndefined();
  });
});

describe('the kind of a file system', () => {
  const mounts = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '40 22 0:36 / /srv/my\\040data rw,relatime shared:20 - nfs4 server:/export rw,vers=4.2',
    '41 40 0:40 / /srv/my\\040data/local rw - xfs /dev/vdb rw',
  ].join('\n');

  it('is that of the innermost mount', () => {
    expect(kindFromMounts(mounts, '/home/me/.local/share')).toBe('ext4');
    expect(kindFromMounts(mounts, '/srv/my data/platform')).toBe('nfs4');
    expect(kindFromMounts(mounts, '/srv/my data/local/platform')).toBe('xfs');
    expect(kindFromMounts(mounts, '/srv/my data-of-old')).toBe('ext4');
  });
});

describe('kill -9 while rows are written', () => {
  it('loses no acknowledged row', { timeout: 60_000 }, async () => {
    const dataDir = join(freshDirectory(), 'data');
    mkdirSync(dataDir);
    const { child, lines } = startChild(writer(dataDir));
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(150), { timeout: 45_000 });
    await kill(child);
    const acknowledged = lines.map(Number);
    const opened = await openDatabase({ ...testPorts(), dataDir });
    const { rows } = await sql<{ id: number }>`select id from written`.execute(opened.db);
    await opened.close();
    const kept = new Set(rows.map((row) => row.id));
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
  });
});
