import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import { firstIdOf, storableText } from '../core/call-record.ts';
import type { ToolChange, ToolChangeStore } from '../core/ports.ts';
import { TOOL_CHANGES_PER_DAY } from '../core/tool-change.ts';
import { json, toInstant, toTimestamp } from './column-values.ts';
import type { Database, ToolChangeTable } from './schema.ts';

/** Absent is the empty text, so that the unique index can compare it. */
const ABSENT = '';

const digest = (text: string | null) =>
  text === null ? ABSENT : createHash('sha256').update(text, 'utf8').digest('hex');
const shown = (stored: string) => (stored === ABSENT ? null : stored);

function toChange(row: Selectable<ToolChangeTable>): ToolChange {
  const { id, tool, change, parts } = row;
  return {
    id,
    occurred_at: toInstant(row.occurred_at),
    key: { kind: row.connection_kind, name: row.connection_name },
    tool,
    change,
    parts,
    before_digest: shown(row.before_digest),
    after_digest: shown(row.after_digest),
  };
}

export function createToolChangeStore(db: Kysely<Database>): ToolChangeStore {
  return {
    async append({ kind, name }, changes) {
      const [first] = changes;
      if (!first) return 0;
      const day = toTimestamp(first.occurred_at).toISOString().slice(0, 10);
      const rows = changes.map(({ id, occurred_at, tool, change, parts, before, after }) => ({
        id,
        occurred_at: toTimestamp(occurred_at).toISOString(),
        tool: storableText(tool),
        change,
        parts,
        before_digest: digest(before),
        after_digest: digest(after),
      }));
      const { rows: counts } = await sql<{ left_out: bigint }>`
        with seen as materialized (
          select tool, before_digest, after_digest from tool_changes
          where connection_kind = ${kind} and connection_name = ${name} and day = cast(${day} as date)
        ), fresh as materialized (
          select distinct on (tool, before_digest, after_digest) *
          from jsonb_to_recordset(${json(rows)}) as r(id uuid, occurred_at timestamptz, tool text, change text,
            parts jsonb, before_digest text, after_digest text)
          where not exists (select from seen where seen.tool = r.tool and seen.before_digest = r.before_digest
            and seen.after_digest = r.after_digest)
        ), kept as (
          insert into tool_changes (id, occurred_at, day, connection_kind, connection_name, tool, change, parts,
            before_digest, after_digest)
          select id, occurred_at, cast(${day} as date), ${kind}, ${name}, tool, change, parts, before_digest, after_digest
          from fresh order by id
          limit greatest(0, ${sql.lit(TOOL_CHANGES_PER_DAY)} - (select count(*) from seen))
          on conflict do nothing
        )
        select greatest(0, (select count(*) from fresh) + (select count(*) from seen)
          - greatest(${sql.lit(TOOL_CHANGES_PER_DAY)}, (select count(*) from seen))) as left_out`.execute(db);
      return Number(counts[0]?.left_out ?? 0);
    },

    async list({ key, before, limit }) {
      let select = db
        .selectFrom('tool_changes')
        .selectAll()
        .where('connection_kind', '=', key.kind)
        .where('connection_name', '=', key.name);
      if (before !== undefined) select = select.where('id', '<', before);
      const rows = await select.orderBy('id', 'desc').limit(limit).execute();
      return rows.map(toChange);
    },

    async prune(before, limit) {
      const old = db
        .selectFrom('tool_changes')
        .select('id')
        .where('id', '<', firstIdOf(before))
        .orderBy('id')
        .limit(limit);
      const deleted = await db.deleteFrom('tool_changes').where('id', 'in', old).returning('id').execute();
      return deleted.length;
    },
  };
}
