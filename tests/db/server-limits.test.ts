import { type Kysely, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import { LockSession } from '../../src/db/server/lock-session.ts';
import { openPool, ServerSource } from '../../src/db/server/pool.ts';
import { openPostgresqlForTest, recordingLog } from '../support/database.ts';

const SHOWN = `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
  current_setting('idle_in_transaction_session_timeout') as idle`;
const LIMITED = { statement: '30s', lock: '20s', idle: '30s' };

let server: Awaited<ReturnType<typeof openPostgresqlForTest>>;
beforeAll(async () => {
  server = await openPostgresqlForTest();
}, 60_000);
afterAll(() => server.end());

describe('the limits of a PostgreSQL connection', () => {
  it('hold on every pooled connection and on the lock session', async () => {
    expect((await sql.raw(SHOWN).execute(server.opened.db)).rows).toEqual([LIMITED]);
    const { databaseUrl } = server;
    const session = await LockSession.open({ databaseUrl, clock: systemClock, log: recordingLog() });
    const { rows } = await session.query(SHOWN);
    await session.close();
    expect(rows).toMatchObject([{ statement: '15s', lock: '15s' }]);
  });

  it.each([
    { who: 'the server', limits: { statement: 20, lock: 20, idle: 0, answer: 60_000 } },
    { who: 'this side, when the line is dead', limits: { statement: 0, lock: 0, idle: 0, answer: 20 } },
  ])('end a statement as an unavailable database, by $who', async ({ limits }) => {
    // The dial itself is not what is to run out of time here.
    const pool = openPool(server.databaseUrl, recordingLog(), { ...limits, answer: 60_000 });
    const source = new ServerSource(pool, 'db:5432/app', limits);
    const session = await source.acquire();
    const slow = session.query('select pg_sleep(60)', []);
    await expect(slow).rejects.toMatchObject({ code: 'database_unavailable' });
    session.release();
    await source.close();
  });

  it('end the waiting for a row that another transaction keeps', async () => {
    await sql`create table kept (id int primary key)`.execute(server.opened.db);
    await sql`insert into kept values (1)`.execute(server.opened.db);
    const limits = { statement: 0, lock: 20, idle: 0, answer: 60_000 };
    const source = new ServerSource(openPool(server.databaseUrl, recordingLog(), limits), 'db:5432/app', limits);
    const [holder, waiter] = [await source.acquire(), await source.acquire()];
    await holder.query('start transaction', []);
    await holder.query('select * from kept for update', []);
    const waiting = waiter.query('select * from kept for update', []);
    await expect(waiting).rejects.toMatchObject({ code: 'database_unavailable' });
    await holder.query('rollback', []);
    for (const session of [holder, waiter]) session.release();
    await source.close();
  });

  it('are lifted for a migration, and hold again after it', async () => {
    const seen: unknown[] = [];
    const looking = {
      up: async (db: Kysely<unknown>) => void seen.push(...(await sql.raw(SHOWN).execute(db)).rows),
    };
    const all = { ...migrations, '900001_looking': looking };
    await migrate(server.opened.db, { migrations: all, log: recordingLog() });
    expect(seen).toEqual([{ statement: '0', lock: '2min', idle: '0' }]);
    expect((await sql.raw(SHOWN).execute(server.opened.db)).rows).toEqual([LIMITED]);
  });
});

describe('the lock session', () => {
  it('is lost with all its locks when a statement is ended: which locks it took is unknown', async () => {
    let lost = 0;
    const { databaseUrl } = server;
    const onLost = () => {
      lost += 1;
    };
    const session = await LockSession.open({ databaseUrl, clock: systemClock, log: recordingLog(), onLost });
    await session.tryLock(61n);
    await session.query("select set_config('statement_timeout', '20', false)");
    await expect(session.query('select pg_sleep(60)')).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(lost).toBe(1);
    expect(session.heldKeys).toEqual([]);
    await session.close();
  });
});
