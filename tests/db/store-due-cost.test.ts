import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Database } from '../../src/db/schema.ts';
import { createConnected, due, NOON, storesOf } from '../suites/store-fixture.ts';
import { describeOnBothEngines } from '../support/database.ts';

const NOT_DUE = 5_000;
const DUE = 3;

describeOnBothEngines('a look for what is due', (opened) => {
  /** What this session has read of the credentials and not yet handed on: two of these within a transaction compare. */
  async function reads(db: Kysely<Database>): Promise<{ seq_scan: number; rows: number }> {
    const { rows } = await sql<{ seq_scan: bigint; rows: bigint }>`
      select seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0) as rows
      from pg_stat_xact_user_tables where relname = 'connection_credentials'`.execute(db);
    return { seq_scan: Number(rows[0]?.seq_scan ?? 0), rows: Number(rows[0]?.rows ?? 0) };
  }

  /** Copies of a connected row that are due long after. */
  async function addNotDue({ db }: OpenDatabase): Promise<void> {
    for (const table of ['connections', 'connection_credentials']) {
      const later = table === 'connections' ? {} : { next_refresh_at: new Date(NOON + 86_400_000).toISOString() };
      await sql`insert into ${sql.table(table)}
        select copied.* from ${sql.table(table)} original, generate_series(1, ${sql.lit(NOT_DUE)}) number,
          jsonb_populate_record(original,
            jsonb_build_object('name', 'not-due-' || number) || cast(cast(${JSON.stringify(later)} as text) as jsonb)) copied
        where original.name = 'due-0'`.execute(db);
    }
    await sql`analyze connection_credentials`.execute(db);
  }

  it('reads what is due and nothing else, however much is not', { timeout: 60_000 }, async () => {
    const { stores } = storesOf(opened());
    for (let index = 0; index < DUE; index += 1) await createConnected(stores, { kind: 'mcp', name: `due-${index}` });
    await addNotDue(opened());
    await opened()
      .db.transaction()
      .execute(async (db) => {
        const inside = storesOf({ ...opened(), db, claimer: undefined }).stores;
        const before = await reads(db);
        expect(await inside.credentials.claimDue(due())).toHaveLength(DUE);
        expect(await inside.credentials.nextDueAt()).toBeLessThan(due().now);
        expect(await reads(db)).toEqual({ seq_scan: before.seq_scan, rows: before.rows + DUE + 1 });
      });
  });
});
