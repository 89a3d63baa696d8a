import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import { firstIdOf } from '../core/call-record.ts';
import type { CallLoss, CallRecord, CallRecordStore } from '../core/ports.ts';
import { json, toInstant, toTimestamp } from './column-values.ts';
import type { CallLossTable, CallRecordTable, Database } from './schema.ts';

const LOSSES_SHOWN = 100;

function toRecord(row: Selectable<CallRecordTable>): CallRecord {
  const { connection_kind, connection_name, occurred_at, request_bytes, response_bytes, ...rest } = row;
  return {
    ...rest,
    key: { kind: connection_kind, name: connection_name },
    occurred_at: toInstant(occurred_at),
    request_bytes: request_bytes === null ? null : Number(request_bytes),
    response_bytes: response_bytes === null ? null : Number(response_bytes),
  };
}

function toLoss(row: Selectable<CallLossTable>): CallLoss {
  return { ...row, since: toInstant(row.since), until: toInstant(row.until), calls: Number(row.calls) };
}

type CallSubject = Omit<
  CallRecord,
  'id' | 'occurred_at' | 'duration_ms' | 'request_bytes' | 'response_bytes' | 'arguments'
>;

/** One caller calls one tool again and again: what such records share is written and read once. */
function bySubject(records: readonly CallRecord[]) {
  const numbers = new Map<string, number>();
  const subjects: object[] = [];
  const numberOf = ({ key, actor, method, tool, operation, outcome, era, replica_id }: CallSubject): number => {
    const mark = JSON.stringify([key.kind, key.name, actor, method, tool, operation, outcome, era, replica_id]);
    const known = numbers.get(mark);
    if (known !== undefined) return known;
    const subject = subjects.length;
    numbers.set(mark, subject);
    const { kind: connection_kind, name: connection_name } = key;
    const shared = { connection_kind, connection_name, actor, method, tool, operation, outcome, era, replica_id };
    subjects.push({ subject, ...shared });
    return subject;
  };
  const calls = records.map((record) => ({
    subject: numberOf(record),
    id: record.id,
    at: record.occurred_at,
    ms: record.duration_ms,
    request: record.request_bytes,
    response: record.response_bytes,
    // A null that is left out is that of SQL.
    arguments: record.arguments ?? undefined,
  }));
  return { subjects, calls };
}

/**
 * Two parameters however many rows: the statement is compiled once, where a list of values costs the caller
 * milliseconds, and the embedded engine reads a row of six columns in half the time of one of fifteen.
 */
async function insertRecords(db: Kysely<Database>, records: readonly CallRecord[]): Promise<void> {
  const { subjects, calls } = bySubject(records);
  await sql`
    insert into call_records (id, occurred_at, connection_kind, connection_name, actor, method, tool, operation, outcome,
      duration_ms, request_bytes, response_bytes, era, arguments, replica_id)
    select id, to_timestamp(at / 1000.0), connection_kind, connection_name, actor, method, tool, operation, outcome,
      ms, request, response, era, arguments, replica_id
    from jsonb_to_recordset(${json(calls)}) as c(subject int, id uuid, at bigint, ms double precision, request bigint,
      response bigint, arguments jsonb)
    join jsonb_to_recordset(${json(subjects)}) as s(subject int, connection_kind text, connection_name text, actor text,
      method text, tool text, operation text, outcome text, era text, replica_id text) using (subject)
    on conflict do nothing`.execute(db);
}

async function insertLosses(db: Kysely<Database>, losses: readonly CallLoss[]): Promise<void> {
  const rows = losses.map(({ since, until, calls, ...rest }) => ({
    ...rest,
    since: toTimestamp(since),
    until: toTimestamp(until),
    calls: BigInt(calls),
  }));
  await db
    .insertInto('call_record_losses')
    .values(rows)
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((eb) => ({ until: eb.ref('excluded.until'), calls: eb.ref('excluded.calls') })),
    )
    .execute();
}

export function createCallRecordStore(db: Kysely<Database>): CallRecordStore {
  return {
    append: (records, losses) =>
      db.transaction().execute(async (transaction) => {
        if (records.length > 0) await insertRecords(transaction, records);
        if (losses.length > 0) await insertLosses(transaction, losses);
      }),

    async list({ kind, name, actor, tool, outcome, since, until, before, limit }) {
      let select = db.selectFrom('call_records').selectAll();
      if (kind !== undefined) select = select.where('connection_kind', '=', kind);
      if (name !== undefined) select = select.where('connection_name', '=', name);
      if (actor !== undefined) select = select.where('actor', '=', actor);
      if (tool !== undefined) select = select.where('tool', '=', tool);
      if (outcome !== undefined && outcome.length > 0) select = select.where('outcome', 'in', outcome);
      if (since !== undefined) select = select.where('id', '>=', firstIdOf(since));
      if (until !== undefined) select = select.where('id', '<', firstIdOf(until));
      if (before !== undefined) select = select.where('id', '<', before);
      const rows = await select.orderBy('id', 'desc').limit(limit).execute();
      return rows.map(toRecord);
    },

    async losses({ since, until }) {
      let select = db.selectFrom('call_record_losses').selectAll();
      if (since !== undefined) select = select.where('until', '>=', toTimestamp(since));
      if (until !== undefined) select = select.where('since', '<', toTimestamp(until));
      const rows = await select.orderBy('id', 'desc').limit(LOSSES_SHOWN).execute();
      return rows.map(toLoss);
    },

    async prune(before, limit) {
      const end = firstIdOf(before);
      const old = db.selectFrom('call_records').select('id').where('id', '<', end).orderBy('id').limit(limit);
      const deleted = await db.deleteFrom('call_records').where('id', 'in', old).returning('id').execute();
      await db.deleteFrom('call_record_losses').where('until', '<', toTimestamp(before)).execute();
      return deleted.length;
    },
  };
}
