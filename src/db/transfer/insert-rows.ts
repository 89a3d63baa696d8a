import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Database } from '../schema.ts';
import { SqlError } from '../sql-error.ts';
import { FileFault } from './format.ts';
import type { Column } from './tables.ts';
import type { Value } from './values.ts';

export type PendingRow = { line: number; values: readonly Value[] };
export type Batch = { file: string; table: string; columns: readonly Column[]; rows: readonly PendingRow[] };

/** Inserts rows of one table at once; where the database refuses, looks for the line and the field that it means. */
export async function insertRows(db: Kysely<Database>, batch: Batch): Promise<void> {
  const refusal = await attempt(db, () => insert(db, batch, batch.rows));
  if (refusal === undefined) return;
  for (const row of batch.rows) {
    const refused = await attempt(db, () => insert(db, batch, [row]));
    if (refused !== undefined) throw new FileFault(batch.file, row.line, await whatIsWrong(db, batch, row, refused));
  }
}

/** Values travel as text in one JSON parameter, and PostgreSQL reads each as it reads its own output. */
async function insert(db: Kysely<Database>, { table, columns }: Batch, rows: readonly PendingRow[]): Promise<void> {
  const names = columns.map(({ name }) => sql.id(name));
  const values = columns.map(({ type }, index) => sql`cast(item ->> ${sql.lit(index)} as ${sql.raw(type)})`);
  const text = JSON.stringify(rows.map((row) => row.values));
  await sql`insert into ${sql.id(table)} (${sql.join(names)}) overriding system value
    select ${sql.join(values)} from json_array_elements(cast(cast(${text} as text) as json)) as items (item)`.execute(
    db,
  );
}

/** What the database refused, its transaction still usable. */
async function attempt(db: Kysely<Database>, run: () => Promise<unknown>): Promise<SqlError | undefined> {
  await sql`savepoint import_step`.execute(db);
  try {
    await run();
    await sql`release savepoint import_step`.execute(db);
    return undefined;
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    await sql`rollback to savepoint import_step`.execute(db);
    return error;
  }
}

async function whatIsWrong(db: Kysely<Database>, batch: Batch, row: PendingRow, refused: SqlError): Promise<string> {
  const { table, columns } = batch;
  for (const [index, { name, type }] of columns.entries()) {
    const text = JSON.stringify([row.values[index]]);
    const cast = sql`select cast(cast(cast(${text} as text) as json) ->> 0 as ${sql.raw(type)})`;
    if ((await attempt(db, () => cast.execute(db))) !== undefined)
      return `field ${table}.${name} is not a valid ${type}`;
  }
  const field = refused.column === undefined ? '' : ` field ${table}.${refused.column}:`;
  const why = refused.constraint ?? `SQLSTATE ${refused.code}`;
  return `is refused by the database:${field} ${table}, ${why}`;
}
