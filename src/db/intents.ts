import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { ClaimInput } from '../core/ports.ts';
import { json } from './column-values.ts';
import { rowKey } from './credential-rows.ts';
import { grouped } from './grouped.ts';
import type { Database } from './schema.ts';
import type { Locked } from './settlement.ts';
import { TAKEN } from './taken-intent.ts';

/** The most claims of one statement; it is planned for so many. */
const MOST = 32;

/**
 * Protocol rule 6, the compare-and-set that is the mutex, for several rows at once: each is claimed or not by its own.
 * `clock_timestamp()` is the one clock that every replica shares: leases are compared with it and with nothing else (rule 7).
 * Whoever presents over an open intent has given up on learning its outcome; after a crash nobody else says so: `ambiguous`.
 * @returns the attempts that have claimed
 */
async function claimIntents(db: Kysely<Database>, claims: readonly ClaimInput[], locked: Locked): Promise<Set<string>> {
  const wanted = claims.map(({ key, incarnation, generation, boot_id, refresh_token_fingerprint, ...claim }) => ({
    ...key,
    ...claim,
    incarnation,
    generation: generation.toString(),
    boot_id: boot_id.toString(),
    fingerprint: refresh_token_fingerprint,
  }));
  const { rows } = await sql<{ attempt_id: string }>`
    with wanted as materialized (
      select * from jsonb_to_recordset(${json(wanted)}) as claim(kind text, name text, incarnation uuid, generation bigint,
        expected_attempt_id text, attempt_id text, replica_id text, boot_id bigint, fingerprint text)
      limit ${sql.lit(MOST)}
    ), free as materialized (
      select kind, name from connection_credentials where (kind, name) in (select kind, name from wanted)
      for update ${locked === 'skip' ? sql`skip locked` : sql``}
    )
    update connection_credentials as held set
      intent_attempt_id = wanted.attempt_id,
      intent_replica_id = wanted.replica_id,
      intent_boot_id = wanted.boot_id,
      intent_fingerprint = wanted.fingerprint,
      intent_at = clock_timestamp(),
      ambiguous = held.ambiguous or wanted.expected_attempt_id is not null,
      taken_intent = case when wanted.expected_attempt_id is not null then ${TAKEN} end
    from wanted join free using (kind, name)
    where held.kind = wanted.kind and held.name = wanted.name
      and held.incarnation = wanted.incarnation
      and held.generation = wanted.generation
      and held.state = 'connected'
      and held.intent_attempt_id is not distinct from wanted.expected_attempt_id
    returning held.intent_attempt_id as attempt_id`.execute(db);
  return new Set(rows.map(({ attempt_id }) => attempt_id));
}

/**
 * Claims that come together share a statement. It passes over what somebody else has locked: whoever waited for one row
 * would hold the others meanwhile. Those that it left out, for whatever reason, are tried alone.
 */
export function intentClaimer(db: Kysely<Database>): (claim: ClaimInput) => Promise<boolean> {
  const alone = async (claim: ClaimInput) => (await claimIntents(db, [claim], 'wait')).has(claim.attempt_id);
  return grouped(
    async (claims) => {
      const claimed = await claimIntents(db, claims, 'skip');
      return claims.map((claim) => () => claimed.has(claim.attempt_id) || alone(claim));
    },
    { most: MOST, keyOf: ({ key }) => rowKey(key) },
  );
}
