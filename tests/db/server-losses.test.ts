import { expect, inject, it } from 'vitest';
import { describeTarget } from '../../src/db/server/errors.ts';
import { openPool, ServerSource } from '../../src/db/server/pool.ts';
import { recordingLog } from '../support/database.ts';

it('outlives the loss of a connection that somebody holds between two statements', async () => {
  const url = inject('postgresUrl');
  const source = new ServerSource(openPool(url, recordingLog()), describeTarget(url));
  const [ours, other] = [await source.acquire(), await source.acquire()];
  try {
    const { rows } = await ours.query('select pg_backend_pid() as pid', []);
    await other.query('select pg_terminate_backend($1::int4)', [rows[0]?.pid]);
    // The loss arrives by itself, with nobody asking: unheard, it would end the process.
    await expect
      .poll(async () => (await other.query('select from pg_stat_activity where pid = $1', [rows[0]?.pid])).rows.length)
      .toBe(0);
    await expect(ours.query('select 1', [])).rejects.toMatchObject({ code: 'database_unavailable' });
  } finally {
    ours.release();
    other.release();
  }
  const fresh = await source.acquire();
  expect((await fresh.query('select 1 as one', [])).rows).toEqual([{ one: 1 }]);
  fresh.release();
  await source.close();
});
