import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { AppError } from '../../core/errors.ts';
import type { Log, Random } from '../../core/ports.ts';
import { LIFT_LIMITS } from '../dialect.ts';
import { type Migrations, migrate } from '../migrate.ts';
import { adoptReplicaIdentity } from '../replica-identity.ts';
import type { Database } from '../schema.ts';
import type { CheckedFile } from './check-file.ts';
import { placeEscrow, refuseNewerEscrow } from './escrow-files.ts';
import { FileFault, parseLine } from './format.ts';
import { insertRows, type PendingRow } from './insert-rows.ts';
import { readLines } from './lines.ts';
import { type Column, MOVED_TABLES, readShape, SEQUENCE_NAMES, SEQUENCES, type SequenceName } from './tables.ts';

export type ImportInput = {
  db: Kysely<Database>;
  checked: CheckedFile;
  dataDir: string;
  migrations: Migrations;
  log: Log;
  random: Random;
};

/**
 * The original may have run on after the export, and replies to it may lie in an escrow somewhere: no number that it can
 * have drawn is drawn again, or a fence would take such a reply for ours (protocol rule 1).
 */
const FENCE_GAP = 1_000_000_000n;

const BATCH_ROWS = 500;
const BATCH_LENGTH = 1_000_000;

/**
 * Fills an empty database from a checked file, in one transaction, and brings its schema up to date.
 * @throws AppError naming line and field; then no row was written
 */
export async function importDatabase(input: ImportInput): Promise<void> {
  const { db, checked, dataDir, migrations, log } = input;
  await refuseNewerEscrow(dataDir, checked.escrow);
  await refuseRows(db);
  const target = checked.header.schema.at(-1) ?? null;
  const level = await migrate(db, { migrations, log, target });
  if (level.outcome === 'newer_schema') {
    throw new AppError(
      'conflict',
      'A newer version of the server has prepared this database. Import with that version, or into another database.',
    );
  }
  const escrow = await placeEscrow(dataDir, checked.escrow, input.random.uuid());
  try {
    await db.transaction().execute(async (transaction) => {
      await fill(transaction, checked);
      const { replica_id } = checked.header;
      if (replica_id !== null) await adoptReplicaIdentity({ dataDir, random: input.random, replica_id });
    });
  } catch (error) {
    await escrow.remove();
    throw error;
  }
  // Only now: an escrow beside an empty database would be taken for the token of a deleted connection. Whoever dies here
  // leaves it to `settleWaitingEscrow`.
  await escrow.appear();
  await migrate(db, { migrations, log });
}

/** Every table that is moved, as far as it is there yet. */
async function refuseRows(db: Kysely<Database>): Promise<void> {
  for (const table of MOVED_TABLES) {
    if ((await readShape(db, table)) === undefined) continue;
    const { rows } = await sql`select from ${sql.id(table)} limit 1`.execute(db);
    if (rows.length === 0) continue;
    throw new AppError(
      'conflict',
      `The database is not empty (${table} has rows), and an import mixes with nothing. Import into a new --data-dir or a ` +
        'new PostgreSQL database.',
    );
  }
}

async function fill(db: Kysely<Database>, checked: CheckedFile): Promise<void> {
  await sql.raw(LIFT_LIMITS).execute(db);
  const columns = await matchColumns(db, checked);
  const names = [...columns.keys()].map((name) => sql.id(name));
  // A server that starts in this moment must find the database either empty or whole.
  if (names.length > 0) await sql`lock table ${sql.join(names)} in access exclusive mode`.execute(db);
  await refuseRows(db);
  await insertAll(db, checked, columns);
  for (const name of SEQUENCE_NAMES) await advance(db, name, checked);
}

/** The file was made at this very schema; a column that a migration of ours has inserted below its level has a default. */
async function matchColumns(db: Kysely<Database>, { file, header }: CheckedFile): Promise<Map<string, Column[]>> {
  const matched = new Map<string, Column[]>();
  for (const [table, { columns }] of Object.entries(header.tables)) {
    const shape = MOVED_TABLES.includes(table) ? await readShape(db, table) : undefined;
    if (shape === undefined)
      throw new FileFault(file, 1, `names the table ${JSON.stringify(table)}, which there is not`);
    for (const { name, type } of columns) {
      const found = shape.columns.find((column) => column.name === name);
      if (found?.type !== type) {
        throw new FileFault(file, 1, `field ${table}.${name} is ${type}, and here it is ${found?.type ?? 'unknown'}`);
      }
    }
    if (new Set(columns.map(({ name }) => name)).size !== columns.length || columns.length === 0) {
      throw new FileFault(file, 1, `has no valid columns of ${table}`);
    }
    matched.set(table, columns);
  }
  return matched;
}

async function insertAll(
  db: Kysely<Database>,
  checked: CheckedFile,
  columns: ReadonlyMap<string, Column[]>,
): Promise<void> {
  const { file, sha256 } = checked;
  let batch: PendingRow[] = [];
  let length = 0;
  let table = '';
  let proven = false;
  const flush = async () => {
    const target = columns.get(table);
    if (target !== undefined && batch.length > 0) await insertRows(db, { file, table, columns: target, rows: batch });
    [batch, length] = [[], 0];
  };
  for await (const { line, text, sha256Before } of readLines(file)) {
    if (line === 1) continue;
    const parsed = parseLine(file, line, text);
    if ('end' in parsed) proven = sha256Before === sha256 && parsed.sha256 === sha256;
    if (!('table' in parsed)) continue;
    if (parsed.table !== table || batch.length >= BATCH_ROWS || length >= BATCH_LENGTH) await flush();
    table = parsed.table;
    batch.push({ line, values: parsed.row });
    length += text.length;
  }
  await flush();
  if (!proven) throw new AppError('conflict', `${file} was changed while it was imported. Nothing was written.`);
}

/** Above everything in the file, whatever it says of its sequences. */
async function advance(db: Kysely<Database>, name: SequenceName, { file, sequences }: CheckedFile): Promise<void> {
  const { columns, fences } = SEQUENCES[name];
  let last = BigInt(sequences[name] ?? 0);
  for (const [table, column] of columns) {
    const { rows } = await sql<{ last: string }>`
      select cast(coalesce(max(${sql.id(column)}), 0) as text) as last from ${sql.id(table)}`.execute(db);
    const found = BigInt(rows[0]?.last ?? 0);
    if (found > last) last = found;
  }
  if (fences) last += FENCE_GAP;
  if (last >= 2n ** 62n)
    throw new AppError(
      'invalid_request',
      `${file} cannot be imported: ${name} has run out of numbers. Nothing was written.`,
    );
  if (last > 0n) await sql`select setval(cast(${name} as regclass), cast(${last} as bigint))`.execute(db);
}
