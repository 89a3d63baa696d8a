import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import { storableJson } from '../core/storable-text.ts';
import type { Instant } from '../core/token-set.ts';
import type { Database, Sequence } from './schema.ts';

/** jsonb as both engines take it: they infer different types for a bare parameter, so it is text until the cast. */
export function json(value: unknown): RawBuilder<string> {
  return sql<string>`cast(cast(${storableJson(JSON.stringify(value))} as text) as jsonb)`;
}

export function toTimestamp(instant: Instant): Date;
export function toTimestamp(instant: Instant | null): Date | null;
export function toTimestamp(instant: Instant | null): Date | null {
  return instant === null ? null : new Date(instant);
}

export function toInstant(timestamp: Date): Instant;
export function toInstant(timestamp: Date | null): Instant | null;
export function toInstant(timestamp: Date | null): Instant | null {
  return timestamp === null ? null : timestamp.getTime();
}

/** The next number of a sequence: unique for ever, also when the transaction around it is rolled back. */
export async function draw(db: Kysely<Database>, sequence: Sequence): Promise<bigint> {
  const [value] = await drawMany(db, sequence, 1);
  if (value === undefined) throw new Error(`sequence ${sequence} gave no number`);
  return value;
}

export async function drawMany(db: Kysely<Database>, sequence: Sequence, count: number): Promise<bigint[]> {
  if (count === 0) return [];
  const { rows } = await sql<{ value: bigint }>`
    select nextval(${sql.lit(sequence)}) as value from generate_series(1, cast(${count} as int4))`.execute(db);
  return rows.map(({ value }) => BigInt(value));
}

/** An array as both engines take it: the text of its literal. */
function texts(values: readonly string[]): RawBuilder<string[]> {
  const quoted = values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`);
  return sql`cast(cast(${`{${quoted.join(',')}}`} as text) as text[])`;
}

/** Whether a row of a table with `kind` and `name` is one of these. */
export function keysOf(keys: readonly ConnectionKey[], table = 'connection_credentials'): RawBuilder<boolean> {
  const [first] = keys;
  // The index at once, without a join to plan.
  if (first && keys.length === 1) {
    return sql`(${sql.ref(table)}.kind = ${first.kind} and ${sql.ref(table)}.name = ${first.name})`;
  }
  const kinds = texts(keys.map(({ kind }) => kind));
  const names = texts(keys.map(({ name }) => name));
  return sql`(${sql.ref(table)}.kind, ${sql.ref(table)}.name) in (select * from unnest(${kinds}, ${names}))`;
}

function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
  return typeof value === 'bigint' ? value.toString() : value;
}

/**
 * Rows as one parameter, in the types of the table that they are meant for; columns that are left out are null.
 * @param most how many rows there are at most, for the planner: it would reckon with a hundred
 */
export function recordset(
  table: 'connection_credentials' | 'connection_auth_events',
  rows: readonly Record<string, unknown>[],
  most: number,
): RawBuilder<unknown> {
  const plain = rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toJson(value)])),
  );
  return sql`(select * from jsonb_populate_recordset(cast(null as ${sql.table(table)}), ${json(plain)})
    limit ${sql.lit(most)})`;
}
