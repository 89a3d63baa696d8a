import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { AuthEvent, NewAuthEvent } from '../core/auth-event.ts';
import { authEventDetailSchema } from '../core/auth-event.ts';
import type { ConnectionKey } from '../core/connection.ts';
import { AppError } from '../core/errors.ts';
import type { AuthEventStore, Clock, Random } from '../core/ports.ts';
import { recordset, toTimestamp } from './column-values.ts';
import type { AuthEventTable, Database } from './schema.ts';

export type EventWriter = { clock: Clock; random: Random };

/** The events of one connection. */
export type Told = {
  key: ConnectionKey;
  events: readonly NewAuthEvent[];
  /** Drawn by the change that they tell of; it is what links an event to a state of the row. */
  generation?: bigint | undefined;
};

/** Writes events in the caller's transaction, so that they stand or fall with the changes that they tell of. */
export async function insertEvents(db: Kysely<Database>, writer: EventWriter, told: readonly Told[]): Promise<void> {
  const occurred_at = toTimestamp(writer.clock.now());
  const rows = told.flatMap(({ key, events, generation }) =>
    events.map((event) => ({
      id: writer.random.uuid(),
      occurred_at,
      connection_kind: key.kind,
      connection_name: key.name,
      event_type: event.event_type,
      actor: event.actor,
      idp_host: event.idp_host,
      detail: checkedDetail(event, generation),
    })),
  );
  const [first] = rows;
  if (!first) return;
  const columns = sql.join(Object.keys(first).map((name) => sql.ref(name)));
  await sql`
    insert into connection_auth_events (${columns})
    select ${columns} from ${recordset('connection_auth_events', rows, rows.length)} as told`.execute(db);
}

function checkedDetail(event: NewAuthEvent, generation: bigint | undefined): NewAuthEvent['detail'] {
  const detail = generation === undefined ? event.detail : { ...event.detail, generation: generation.toString() };
  const parsed = authEventDetailSchema.safeParse(detail);
  if (parsed.success) return parsed.data;
  throw new AppError(
    'internal',
    `The detail of a ${event.event_type} event has a field that the history does not know.`,
    {
      // Paths and codes only: the values may be what must not be written.
      cause: { issues: parsed.error.issues.map((issue) => ({ code: issue.code, path: issue.path.join('.') })) },
    },
  );
}

function toAuthEvent(row: Selectable<AuthEventTable>): AuthEvent {
  return {
    id: row.id,
    sequence: row.sequence.toString(),
    occurred_at: row.occurred_at.toISOString(),
    connection_kind: row.connection_kind,
    connection_name: row.connection_name,
    event_type: row.event_type,
    actor: row.actor,
    idp_host: row.idp_host,
    detail: row.detail,
  };
}

export function createAuthEventStore(db: Kysely<Database>, writer: EventWriter): AuthEventStore {
  return {
    append: (key, events) => insertEvents(db, writer, [{ key, events }]),

    async list(query) {
      let select = db.selectFrom('connection_auth_events').selectAll();
      if (query.key) {
        select = select.where('connection_kind', '=', query.key.kind).where('connection_name', '=', query.key.name);
      }
      if (query.type && query.type.length > 0) select = select.where('event_type', 'in', query.type);
      if (query.before !== undefined) select = select.where('sequence', '<', sequenceOf(query.before));
      const rows = await select.orderBy('sequence', 'desc').limit(query.limit).execute();
      return rows.map(toAuthEvent);
    },

    async prune(before, limit) {
      const old = db
        .selectFrom('connection_auth_events')
        .select('sequence')
        .where('occurred_at', '<', toTimestamp(before))
        .orderBy('occurred_at')
        .limit(limit);
      const deleted = await db
        .deleteFrom('connection_auth_events')
        .where('sequence', 'in', old)
        .returning('sequence')
        .execute();
      return deleted.length;
    },
  };
}

/** int8 has at most 19 digits; a longer `before` would be refused by the driver with a text that we must not show. */
function sequenceOf(before: string): bigint {
  if (/^\d{1,18}$/.test(before)) return BigInt(before);
  throw new AppError('invalid_request', 'before must be the sequence of an event.', {
    issues: [{ path: 'before', message: 'must be the sequence of an event' }],
  });
}
