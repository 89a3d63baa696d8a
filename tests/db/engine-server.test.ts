import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/core/ports.ts';
import type { SqlSession, SqlSource } from '../../src/db/dialect.ts';
import { openDatabase } from '../../src/db/open.ts';
import { describeTarget } from '../../src/db/server/errors.ts';
import { LockSession } from '../../src/db/server/lock-session.ts';
import { openPool, ServerSource } from '../../src/db/server/pool.ts';
import { type ProvableSession, proveServer } from '../../src/db/server/proof.ts';
import { openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';

let server: Awaited<ReturnType<typeof openPostgresqlForTest>>;
const sessions: LockSession[] = [];

beforeAll(async () => {
  server = await openPostgresqlForTest();
}, 60_000);
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.close();
});
afterAll(() => server.end());

async function openSession(onLost?: () => void): Promise<LockSession> {
  const { databaseUrl } = server;
  const session = await LockSession.open({ databaseUrl, clock: systemClock, log: recordingLog(), onLost });
  sessions.push(session);
  return session;
}

async function terminate(session: LockSession): Promise<void> {
  const { rows } = await session.query('select pg_backend_pid() as pid');
  await sql`select pg_terminate_backend(${rows[0]?.pid}::int4)`.execute(server.opened.db);
}

describe('the lock session', () => {
  it('excludes another replica, until the lock is given back', async () => {
    const [ours, theirs] = [await openSession(), await openSession()];
    expect(await ours.tryLock(11n)).toBe(true);
    expect(await theirs.tryLock(11n)).toBe(false);
    await ours.unlock(11n);
    expect(await theirs.tryLock(11n)).toBe(true);
  });

  it('never locks a key again that it holds: one lock, one unlock', async () => {
    const [ours, theirs] = [await openSession(), await openSession()];
    const asked = await Promise.all([ours.tryLock(-7n), ours.tryLock(-7n), ours.tryLock(-7n)]);
    expect(asked.filter((granted) => granted)).toHaveLength(1);
    await ours.unlock(-7n);
    expect(await theirs.tryLock(-7n)).toBe(true);
  });

  it('claims rows with their locks, and leaves out what it holds already', async () => {
    const [ours, theirs] = [await openSession(), await openSession()];
    await ours.tryLock(21n);
    await theirs.tryLock(22n);
    const statement = `
      with due as materialized (select key as lock_key from unnest($1::int8[]) key)
      select * from due where pg_try_advisory_lock(lock_key)`;
    expect(await ours.claim(statement, [[21n, 22n, 23n]])).toEqual([{ lock_key: 23n }]);
    await ours.unlock(21n);
    expect(await theirs.tryLock(21n)).toBe(true);
    expect(ours.heldKeys).toEqual([23n]);
  });

  it('says that it is lost, forgets its locks, comes back, and listens again', async () => {
    let lost = 0;
    const heard: string[] = [];
    const ours = await openSession(() => {
      lost += 1;
    });
    await ours.listen('news', (payload) => heard.push(payload));
    await ours.tryLock(31n);
    await terminate(ours);
    await vi.waitFor(() => expect(lost).toBe(1));
    expect(ours.heldKeys).toEqual([]);
    await vi.waitFor(() => expect(ours.connected).toBe(true), { timeout: 10_000 });
    expect(heard).toContain('');
    expect(await ours.tryLock(31n)).toBe(true);
    await sql`select pg_notify('news', 'after')`.execute(server.opened.db);
    await vi.waitFor(() => expect(heard).toContain('after'));
  });

  it('refuses to answer about locks while it is being dialled again', async () => {
    const answers: Promise<unknown>[] = [];
    const ours: LockSession = await openSession(() => {
      answers.push(ours.tryLock(41n).catch((error: unknown) => error));
    });
    await terminate(ours);
    await vi.waitFor(() => expect(answers).toHaveLength(1));
    expect(await answers[0]).toMatchObject({ code: 'database_unavailable' });
  });

  it('does nothing for a lock that was lost', async () => {
    const ours = await openSession();
    await ours.unlock(51n);
    expect(ours.heldKeys).toEqual([]);
  });
});

describe('start-up on PostgreSQL', () => {
  it('never shows a password, and says what is wrong', async () => {
    const refused = 'postgres://me:hunter2@127.0.0.1:1/app';
    const error = await openDatabase({ ...testPorts(), dataDir: '/', databaseUrl: refused }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'database_unavailable',
      message: 'Cannot reach PostgreSQL at 127.0.0.1:1/app: the connection was refused; is it running?.',
    });
    const wrong = new URL(inject('postgresUrl'));
    wrong.pathname = '/no_such_database';
    const missing = openDatabase({ ...testPorts(), dataDir: '/', databaseUrl: wrong.href });
    await expect(missing).rejects.toThrow(/no_such_database: the database does not exist/);
    expect(describeTarget('postgres://u:p@db.example/x')).toBe('db.example:5432/x');
    expect(describeTarget('not a url with secret')).not.toContain('secret');
  });

  it('refuses an address that is none', async () => {
    const opening = openDatabase({ ...testPorts(), dataDir: '/', databaseUrl: 'mysql://u:secret@host/db' });
    await expect(opening).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.not.stringContaining('secret'),
    });
  });

  it('warns when the clocks differ by more than five seconds', async () => {
    const log = recordingLog();
    const clock: Clock = { ...systemClock, now: () => systemClock.now() - 60_000 };
    const opened = await openDatabase({ ...testPorts(), log, clock, dataDir: '/', databaseUrl: server.databaseUrl });
    await opened.close();
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringMatching(/clock/) }),
    );
  });

  it('refuses a server older than PostgreSQL 15', async () => {
    const session: ProvableSession = {
      query: async () => ({ rows: [{ number: 140_012 }] }),
      listen: async () => () => {},
    };
    const input = { session, source: failingSource, target: 'db:5432/app', clock: systemClock, log: recordingLog() };
    await expect(proveServer({ ...input, proofKey: 1n })).rejects.toThrow('PostgreSQL 15 or newer is needed');
  });
});

const failingSource: SqlSource = {
  acquire: () => Promise.reject(new Error('not needed')),
  close: async () => {},
};

describe('a pooler in transaction mode', () => {
  /** Hands each statement outside a transaction to whichever of two server sessions is free. */
  async function transactionPooler() {
    const source = new ServerSource(openPool(server.databaseUrl, recordingLog()), 'test');
    const backends: SqlSession[] = [await source.acquire(), await source.acquire()];
    const busy = new Set<SqlSession>();
    const free = () => backends.find((backend) => !busy.has(backend))!;
    const session: ProvableSession = {
      query: (text, parameters = []) => free().query(text, parameters),
      // A notification finds no client that waits for it on that backend.
      listen: async (channel) => {
        await free().query(`listen "${channel}"`, []);
        return () => {};
      },
    };
    const pinned: { backend: SqlSession | undefined } = { backend: undefined };
    const pooled: SqlSession = {
      query: async (text, parameters) => {
        if (text === 'start transaction') {
          pinned.backend = free();
          busy.add(pinned.backend);
        }
        const backend = pinned.backend ?? free();
        const result = await backend.query(text, parameters);
        if (text === 'rollback') {
          busy.delete(backend);
          pinned.backend = undefined;
        }
        return result;
      },
      release: () => {},
    };
    const close = async () => {
      for (const backend of backends) backend.release();
      await source.close();
    };
    return { session, source: { acquire: async () => pooled, close: async () => {} }, close };
  }

  it('is refused with a sentence that says what to do', async () => {
    const { session, source, close } = await transactionPooler();
    const input = { session, source, target: 'pooler:6432/app', clock: systemClock, log: recordingLog() };
    const error = await proveServer({ ...input, proofKey: 99n }).catch((e: unknown) => e);
    await close();
    expect(error).toMatchObject({
      code: 'invalid_config',
      message: expect.stringMatching(/pooler:6432\/app.*advisory locks.*session mode/),
    });
  });

  it('is refused too when only notifications are lost', async () => {
    const { session, close, source } = await transactionPooler();
    const real = await openSession();
    const deaf: ProvableSession = { query: (text, parameters) => real.query(text, parameters), listen: session.listen };
    const hurried: Clock = { ...systemClock, sleep: async () => {} };
    const direct = new ServerSource(openPool(server.databaseUrl, recordingLog()), 'test');
    const input = { session: deaf, source: direct, target: 'pooler:6432/app', clock: hurried, log: recordingLog() };
    const error = await proveServer({ ...input, proofKey: 98n }).catch((e: unknown) => e);
    await source.close();
    await close();
    await direct.close();
    expect(error).toMatchObject({ code: 'invalid_config', message: expect.stringContaining('notifications') });
  });
});
