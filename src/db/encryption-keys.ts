import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { AppError } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { toTimestamp } from './column-values.ts';
import type { Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

const CHECK = new Secret('this key opens what it sealed');
const contextOf = (keyId: string) => ({ kind: 'encryption_keys', name: keyId, column: 'check_value' });

export type KeyCheck =
  | { ok: true }
  /** `rows`: how many rows hold a secret that none of our keys opens. */
  | { ok: false; rows: number; error: AppError };

/**
 * Compares our keys with those that the database was written with, so that a wrong ENCRYPTION_KEY is one clear sentence
 * at start-up and not a list of connections that all look broken (lesson 17). Remembers our sealing key, and forgets
 * keys that no stored secret needs any more.
 */
export async function checkEncryptionKeys(input: {
  db: Kysely<Database>;
  box: SecretBox;
  clock: Clock;
}): Promise<KeyCheck> {
  const { db, box, clock } = input;
  const recorded = await db.selectFrom('encryption_keys').selectAll().execute();
  let rows = 0;
  for (const { key_id, check_value } of recorded) {
    if (box.open(check_value, contextOf(key_id)).opened) continue;
    const stranded = await countRowsUnder(db, key_id);
    if (stranded === 0) await db.deleteFrom('encryption_keys').where('key_id', '=', key_id).execute();
    rows += stranded;
  }
  if (rows > 0) return { ok: false, rows, error: wrongKey(rows) };
  await db
    .insertInto('encryption_keys')
    .values({
      key_id: box.sealing_key_id,
      check_value: box.seal(CHECK, contextOf(box.sealing_key_id)),
      created_at: toTimestamp(clock.now()),
    })
    .onConflict((conflict) => conflict.column('key_id').doNothing())
    .execute();
  return { ok: true };
}

/** Boxes begin with a version byte and the key's id; flows that can be started again do not count. */
async function countRowsUnder(db: Kysely<Database>, keyId: string): Promise<number> {
  const under = (column: string) =>
    sql<boolean>`encode(substring(${sql.ref(column)} from 2 for 8), 'hex') = cast(${keyId} as text)`;
  const { rows } = await sql<{ count: bigint }>`
    select
      (select count(*) from connections where ${under('config_secrets')})
      + (select count(*) from connection_credentials
         where ${under('access_token')} or ${under('refresh_token')} or ${under('client_secret')})
      + (select count(*) from token_revocations
         where ${under('access_token')} or ${under('refresh_token')} or ${under('client_secret')}) as count`.execute(
    db,
  );
  return Number(rows[0]?.count ?? 0);
}

function wrongKey(rows: number): AppError {
  const sentence =
    `ENCRYPTION_KEY is another key than the one this database was written with: ${rows} stored ` +
    `${rows === 1 ? 'row' : 'rows'} cannot be decrypted`;
  return new AppError('invalid_config', `${sentence}. Set the key that it was written with.`, {
    issues: [{ path: 'ENCRYPTION_KEY', message: sentence }],
  });
}
