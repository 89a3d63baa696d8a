import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { describeOnBothEngines, recordingLog } from '../support/database.ts';

async function indexes({ db }: OpenDatabase, table: string): Promise<string[]> {
  const { rows } = await sql<{ definition: string }>`
    select pg_get_indexdef(indexrelid) as definition from pg_index
    where indrelid = to_regclass(${table}) and not indisprimary order by 1`.execute(db);
  return rows.map(({ definition }) => definition.replace(/.* ON public\./, '').replace(' USING btree', ''));
}

describeOnBothEngines('the schema of the stores', (opened) => {
  it('gives the history exactly the columns and the two indexes that are described', async () => {
    const { rows } = await sql<{ column_name: string; data_type: string }>`
      select column_name, data_type from information_schema.columns
      where table_name = 'connection_auth_events' order by ordinal_position`.execute(opened().db);
    expect(rows.map((row) => `${row.column_name} ${row.data_type}`)).toEqual([
      'id uuid',
      'occurred_at timestamp with time zone',
      'connection_kind text',
      'connection_name text',
      'event_type text',
      'actor text',
      'idp_host text',
      'detail jsonb',
      'sequence bigint',
    ]);
    expect(await indexes(opened(), 'connection_auth_events')).toEqual([
      'connection_auth_events (connection_kind, connection_name, occurred_at DESC, sequence DESC)',
      'connection_auth_events (occurred_at)',
    ]);
  });

  it('holds each migration twice over, up and down', async () => {
    const { db } = opened();
    const inOrder = Object.values(migrations);
    for (const { up } of inOrder) await up(db);
    for (const { down } of inOrder.toReversed()) {
      await down?.(db);
      await down?.(db);
    }
    const { rows } = await sql<{ name: string }>`
      select relname as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
      where nspname = 'public' and relkind in ('r', 'S', 'i') and relname not like 'kysely_%'
        and relname not like 'schema_version%'`.execute(db);
    expect(rows).toEqual([]);
    for (const { up } of inOrder) {
      await up(db);
      await up(db);
    }
  });

  it('rolls the history back with its indexes, and applies it again', async () => {
    const { db } = opened();
    const options = { migrations, log: recordingLog() };
    await migrate(db, { ...options, target: '000008_encryption_keys' });
    const gone = await sql<{ table: unknown }>`select to_regclass('connection_auth_events') as table`.execute(db);
    expect(gone.rows).toEqual([{ table: null }]);
    await migrate(db, options);
    expect(await indexes(opened(), 'connection_auth_events')).toHaveLength(2);
  });
});
