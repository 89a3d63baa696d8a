import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { AppError } from '../../core/errors.ts';
import type { Clock, Random } from '../../core/ports.ts';
import { LIFT_LIMITS } from '../dialect.ts';
import type { Database } from '../schema.ts';
import { BOX_PREFIX_BYTES } from '../secret-box.ts';
import { type EscrowFile, keyIdOfEscrow, readEscrowFiles } from './escrow-files.ts';
import { FORMAT, FORMAT_VERSION, type Header, type Line } from './format.ts';
import { type LineWriter, refuseExisting, writeLines } from './lines.ts';
import { MOVED_TABLES, readSchemaLevel, readShape, SEQUENCE_NAMES, type TableShape } from './tables.ts';
import type { Value } from './values.ts';

export type ExportInput = {
  db: Kysely<Database>;
  engine: 'embedded' | 'postgresql';
  /** Where the escrow lies. */
  dataDir: string;
  replica_id: string | null;
  file: string;
  overwrite: boolean;
  version: string;
  clock: Clock;
  random: Random;
};

export type ExportSummary = {
  header: Header;
  /** Attempts whose outcome is not known, and of those, how many began on another replica: its escrow is not ours. */
  open_attempts: number;
  open_elsewhere: number;
};

const PAGE_ROWS = 500;

/**
 * Writes everything that the database holds to one file of JSON lines, as it stood at one moment. Secrets stay
 * encrypted as they are.
 * @throws AppError with a sentence; no file is left behind
 */
export async function exportDatabase(input: ExportInput): Promise<ExportSummary> {
  const { db, file, overwrite, random } = input;
  if (!overwrite) await refuseExisting(file);
  // Before the snapshot: a reply that is confirmed in between is in the rows, too, and recognised when it is drained.
  const escrow = await readEscrowFiles(input.dataDir);
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (snapshot) => {
      await sql.raw(LIFT_LIMITS).execute(snapshot);
      await sql`select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),
        set_config('bytea_output', 'hex', true), set_config('intervalstyle', 'iso_8601', true),
        set_config('extra_float_digits', '1', true)`.execute(snapshot);
      const { header, shapes } = await readHeader(snapshot, input, escrow);
      await writeLines({ file, overwrite, unique: random.uuid() }, async (writer) => {
        await writer.write(header);
        for (const { name, content } of escrow) await writer.write({ escrow: name, content } satisfies Line);
        for (const [table, shape] of shapes) await writeRows(snapshot, writer, table, shape);
        // Last: sequences stand outside the snapshot, and must not lag behind its rows.
        await writer.write({ sequences: await readSequences(snapshot) } satisfies Line);
      });
      return { header, ...(await countOpenAttempts(snapshot, input.replica_id)) };
    });
}

async function readHeader(db: Kysely<Database>, input: ExportInput, escrow: readonly EscrowFile[]) {
  const schema = await readSchemaLevel(db);
  if (schema.length === 0) {
    throw new AppError('not_found', 'There is nothing to export: this database was never used by a server.');
  }
  const shapes = new Map<string, TableShape>();
  const tables: Header['tables'] = {};
  const key_ids = new Set(escrow.map(keyIdOfEscrow).filter((id) => id !== undefined));
  for (const table of MOVED_TABLES) {
    const shape = await readShape(db, table);
    if (shape === undefined) continue;
    shapes.set(table, shape);
    const { rows } = await sql<{ count: bigint }>`select count(*) as count from ${sql.id(table)}`.execute(db);
    tables[table] = { columns: shape.columns, rows: Number(rows[0]?.count ?? 0) };
    for (const id of await keyIdsIn(db, table, shape)) key_ids.add(id);
  }
  const header: Header = {
    format: FORMAT,
    format_version: FORMAT_VERSION,
    product_version: input.version,
    created_at: new Date(input.clock.now()).toISOString(),
    engine: input.engine,
    schema,
    replica_id: input.replica_id,
    key_ids: [...key_ids].sort(),
    escrow: escrow.length,
    tables,
  };
  return { header, shapes };
}

/**
 * Boxes begin with a version byte and the id of their key. What proves a key's own identity protects no secret, and a
 * consent can be started again.
 */
async function keyIdsIn(db: Kysely<Database>, table: string, { columns }: TableShape): Promise<string[]> {
  if (table === 'encryption_keys' || table === 'oauth_states') return [];
  const ids: string[] = [];
  for (const { name } of columns.filter(({ type }) => type === 'bytea')) {
    const { rows } = await sql<{ id: string }>`
      select distinct encode(substring(${sql.id(name)} from 2 for ${sql.lit(BOX_PREFIX_BYTES - 1)}), 'hex') as id
      from ${sql.id(table)} where length(${sql.id(name)}) > ${sql.lit(BOX_PREFIX_BYTES)}`.execute(db);
    ids.push(...rows.map(({ id }) => id));
  }
  return ids;
}

async function writeRows(db: Kysely<Database>, writer: LineWriter, table: string, shape: TableShape): Promise<void> {
  const texts = shape.columns.map(({ name }, index) => sql`cast(${sql.id(name)} as text) as ${sql.id(`c${index}`)}`);
  const order = shape.key.length > 0 ? sql`order by ${sql.join(shape.key.map((name) => sql.id(table, name)))}` : sql``;
  await sql`declare export_rows no scroll cursor for
    select ${sql.join(texts)} from ${sql.id(table)} ${order}`.execute(db);
  for (;;) {
    const { rows } = await sql<Record<string, Value>>`fetch ${sql.lit(PAGE_ROWS)} from export_rows`.execute(db);
    for (const row of rows) {
      const line: Line = { table, row: shape.columns.map((_, index) => row[`c${index}`] ?? null) };
      await writer.write(line);
    }
    if (rows.length < PAGE_ROWS) break;
  }
  await sql`close export_rows`.execute(db);
}

async function readSequences(db: Kysely<Database>): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const name of SEQUENCE_NAMES) {
    const { rows } = await sql<{ exists: boolean }>`select to_regclass(${name}) is not null as exists`.execute(db);
    if (rows[0]?.exists !== true) continue;
    const last = await sql<{ last: string }>`
      select cast(case when is_called then last_value else 0 end as text) as last from ${sql.id(name)}`.execute(db);
    values[name] = last.rows[0]?.last ?? '0';
  }
  return values;
}

async function countOpenAttempts(db: Kysely<Database>, replica_id: string | null) {
  const { rows } = await sql<{ open: bigint; elsewhere: bigint }>`
    select count(*) as open, count(*) filter (where intent_replica_id is distinct from ${replica_id}) as elsewhere
    from connection_credentials where intent_replica_id is not null`.execute(db);
  return { open_attempts: Number(rows[0]?.open ?? 0), open_elsewhere: Number(rows[0]?.elsewhere ?? 0) };
}
