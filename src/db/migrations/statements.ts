import type { Kysely, Migration } from 'kysely';
import { sql } from 'kysely';

async function run(db: Kysely<unknown>, statements: readonly string[]): Promise<void> {
  // One at a time: the extended protocol, which the embedded engine always speaks, takes a single statement.
  for (const statement of statements) await sql.raw(statement).execute(db);
}

/** A migration in plain SQL: what it does, and what undoes it. Both must bear being run twice. */
export function statements(up: readonly string[], down: readonly string[]): Required<Migration> {
  return { up: (db: Kysely<unknown>) => run(db, up), down: (db: Kysely<unknown>) => run(db, down) };
}
