import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { Instant } from '../core/token-set.ts';
import type { Database, Sequence } from './schema.ts';

/** jsonb as both engines take it: they infer different types for a bare parameter, so it is text until the cast. */
export function json(value: unknown): RawBuilder<string> {
  return sql<string>`cast(cast(${JSON.stringify(value)} as text) as jsonb)`;
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
  const { rows } = await sql<{ value: bigint }>`select nextval(${sql.lit(sequence)}) as value`.execute(db);
  const value = rows[0]?.value;
  if (value === undefined) throw new Error(`sequence ${sequence} gave no number`);
  return BigInt(value);
}
