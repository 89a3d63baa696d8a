import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Database, Sequence } from '../schema.ts';

/**
 * Every table, parents before their children. Who is signed in stays behind: those rows live for minutes or days, and a
 * file that is read back later must not bring a session to life that was ended since.
 */
const TABLES = {
  connections: 'moved',
  connection_credentials: 'moved',
  connection_auth_events: 'moved',
  oauth_states: 'moved',
  oauth_clients: 'moved',
  replicas: 'moved',
  tool_catalog: 'moved',
  tool_names: 'moved',
  token_revocations: 'moved',
  issuer_incidents: 'moved',
  encryption_keys: 'moved',
  call_records: 'moved',
  call_record_losses: 'moved',
  tool_changes: 'moved',
  sign_in_links: 'left',
  sessions: 'left',
} as const satisfies Record<keyof Database, 'moved' | 'left'>;

/** Also those that stay behind. */
export const KNOWN_TABLES: readonly string[] = Object.keys(TABLES);

export const MOVED_TABLES: readonly string[] = Object.entries(TABLES).flatMap(([name, fate]) =>
  fate === 'moved' ? [name] : [],
);

type Numbered = {
  columns: readonly (readonly [table: keyof Database, column: string])[];
  /** Fences and leases compare these numbers: what the original drew after the export must never be drawn here. */
  fences: boolean;
};

/** Each sequence with the columns whose numbers came from it. */
export const SEQUENCES = {
  credential_generation_seq: {
    columns: [
      ['connection_credentials', 'generation'],
      ['connection_credentials', 'revoked_from_generation'],
    ],
    fences: true,
  },
  consent_seq: {
    columns: [
      ['connection_credentials', 'consent_seq'],
      ['oauth_states', 'consent_seq'],
    ],
    fences: true,
  },
  boot_seq: {
    columns: [
      ['replicas', 'boot_id'],
      ['connection_credentials', 'intent_boot_id'],
    ],
    fences: true,
  },
  connection_revision_seq: { columns: [['connections', 'revision']], fences: false },
  connection_auth_events_sequence_seq: { columns: [['connection_auth_events', 'sequence']], fences: false },
} as const satisfies Record<Sequence | 'connection_auth_events_sequence_seq', Numbered>;

export type SequenceName = keyof typeof SEQUENCES;
export const SEQUENCE_NAMES = Object.keys(SEQUENCES) as SequenceName[];

export type Column = { name: string; type: string };
export type TableShape = { columns: Column[]; key: string[] };

/** The columns of a table as this database has them; undefined where there is no such table. */
export async function readShape(db: Kysely<Database>, table: string): Promise<TableShape | undefined> {
  const { rows } = await sql<{ name: string; type: string; in_key: boolean }>`
    select attname as name, format_type(atttypid, atttypmod) as type,
      coalesce(attnum = any((select indkey from pg_index where indrelid = attrelid and indisprimary)::int2[]), false) as in_key
    from pg_attribute
    where attrelid = to_regclass(${table}) and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum`.execute(db);
  if (rows.length === 0) return undefined;
  return {
    columns: rows.map(({ name, type }) => ({ name, type })),
    key: rows.filter(({ in_key }) => in_key).map(({ name }) => name),
  };
}

/** The migrations that have run, in order. */
export async function readSchemaLevel(db: Kysely<Database>): Promise<string[]> {
  const table = await sql<{ exists: boolean }>`
    select to_regclass('kysely_migration') is not null as exists`.execute(db);
  if (table.rows[0]?.exists !== true) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}

/** Whether an import has been committed here; what waits for its end belongs to a credential. */
export async function hasCredentials(db: Kysely<Database>): Promise<boolean> {
  const { rows } = await sql`select from connection_credentials limit 1`.execute(db);
  return rows.length > 0;
}
