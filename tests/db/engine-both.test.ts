import { sql } from 'kysely';
import { expect, it, vi } from 'vitest';
import { SqlError } from '../../src/db/sql-error.ts';
import { describeOnBothEngines } from '../support/database.ts';

describeOnBothEngines('one dialect on two engines', (opened) => {
  it('reads values the same way', async () => {
    const { rows } = await sql<Record<string, unknown>>`
      select 9007199254740993::int8 as int8, count(*) as count, array[1, 2, null]::int8[] as int8s,
        decode('0001ff', 'hex') as bytea, '{"a":[1,{"b":null}]}'::jsonb as jsonb, '2026-01-02T03:04:05.678Z'::timestamptz as at,
        '2026-01-02'::date as date, '2026-01-02 03:04:05'::timestamp as local, 1.50::numeric as numeric, true as yes,
        'é'::text as text, null::int4 as nothing, 7::int4 as int4, array['a', 'b']::text[] as texts`.execute(
      opened().db,
    );
    expect(rows[0]).toEqual({
      int8: 9_007_199_254_740_993n,
      count: 1n,
      int8s: [1n, 2n, null],
      bytea: Buffer.from([0, 1, 255]),
      jsonb: { a: [1, { b: null }] },
      at: new Date('2026-01-02T03:04:05.678Z'),
      date: '2026-01-02',
      local: '2026-01-02 03:04:05',
      numeric: '1.50',
      yes: true,
      text: 'é',
      nothing: null,
      int4: 7,
      texts: ['a', 'b'],
    });
    expect(Buffer.isBuffer(rows[0]?.bytea)).toBe(true);
  });

  it('takes parameters the same way', async () => {
    const bytes = Buffer.from('a token').subarray(2);
    const at = new Date('2026-05-06T07:08:09.010Z');
    const { rows } = await sql<Record<string, unknown>>`
      select ${bytes}::bytea as bytes, ${-5n}::int8 as big, ${at}::timestamptz as at, ${[1n, 2n]}::int8[] as bigs,
        ${JSON.stringify([1, 'x'])}::jsonb as list, ${null}::text as nothing, ${['a', 'b"c']}::text[] as texts`.execute(
      opened().db,
    );
    const expected = { bytes, big: -5n, at, bigs: [1n, 2n], list: [1, 'x'], nothing: null, texts: ['a', 'b"c'] };
    expect(rows[0]).toEqual(expected);
  });

  it('says how many rows a statement changed', async () => {
    const { db } = opened();
    await sql`create table counted (id int primary key)`.execute(db);
    const inserted = await sql`insert into counted select generate_series(1, 3)`.execute(db);
    const updated = await sql`update counted set id = id + 10 where id > 1`.execute(db);
    await sql`drop table counted`.execute(db);
    expect([inserted.numAffectedRows, updated.numAffectedRows]).toEqual([3n, 2n]);
  });

  it('commits a transaction whole and rolls a failed one back', async () => {
    const { db } = opened();
    await sql`create table ledger (id int primary key)`.execute(db);
    const failing = db.transaction().execute(async (trx) => {
      await sql`insert into ledger values (1)`.execute(trx);
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    await db.transaction().execute(async (trx) => {
      await sql`insert into ledger values (2)`.execute(trx);
    });
    const { rows } = await sql`select id from ledger`.execute(db);
    await sql`drop table ledger`.execute(db);
    expect(rows).toEqual([{ id: 2 }]);
  });

  it('keeps an open transaction apart from statements that are asked for meanwhile', async () => {
    const { db } = opened();
    await sql`create table apart (id int primary key)`.execute(db);
    let outside: Promise<unknown> = Promise.resolve();
    await db
      .transaction()
      .execute(async (trx) => {
        await sql`insert into apart values (1)`.execute(trx);
        outside = sql`insert into apart values (2)`.execute(db);
        throw new Error('rolled back');
      })
      .catch(() => {});
    await outside;
    const { rows } = await sql`select id from apart`.execute(db);
    await sql`drop table apart`.execute(db);
    expect(rows).toEqual([{ id: 2 }]);
  });

  it('names the violated constraint, never the value that the engine quotes', async () => {
    const { db } = opened();
    await sql`create table unique_names (name text constraint one_name unique)`.execute(db);
    await sql`insert into unique_names values (${'a-secret-value'})`.execute(db);
    const error = await sql`insert into unique_names values (${'a-secret-value'})`.execute(db).catch((e: unknown) => e);
    await sql`drop table unique_names`.execute(db);
    expect(error).toBeInstanceOf(SqlError);
    expect(error).toMatchObject({ code: '23505', constraint: 'one_name', table: 'unique_names' });
    const cast = await sql`select ${'a-secret-value'}::uuid`.execute(db).catch((e: unknown) => e);
    expect(`${(error as Error).stack}${(cast as Error).stack}`).not.toContain('a-secret-value');
  });

  it('goes on working after a refused statement', async () => {
    const { db } = opened();
    await expect(sql`select * from no_such_table`.execute(db)).rejects.toMatchObject({ code: '42P01' });
    expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  });

  it('tells subscribers what is published, until they leave', async () => {
    const { notifier } = opened();
    const heard: string[] = [];
    const leave = notifier.subscribe('connections', (payload) => heard.push(payload));
    await vi.waitFor(async () => {
      await notifier.publish('connections', 'changed');
      expect(heard).toContain('changed');
    });
    leave();
    const count = heard.length;
    const later: string[] = [];
    notifier.subscribe('connections', (payload) => later.push(payload));
    await notifier.publish('connections', 'again');
    await vi.waitFor(() => expect(later).toContain('again'));
    expect(heard).toHaveLength(count);
  });
});
