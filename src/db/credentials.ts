import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { AttemptView, CredentialStore } from '../core/ports.ts';
import { toInstant, toTimestamp } from './column-values.ts';
import { openColumn, openSecrets, selectCredentials, toCredential } from './credential-rows.ts';
import type { DueClaimer } from './due-credentials.ts';
import { claimDueCredentials, readable } from './due-credentials.ts';
import type { Database } from './schema.ts';
import { settleWithin } from './settlement.ts';
import type { SettlementTools } from './settlement-tools.ts';
import { GIVEN_BACK, TAKEN } from './taken-intent.ts';

export type CredentialStoreInput = SettlementTools & {
  db: Kysely<Database>;
  /** Absent when embedded: one process needs no lock. */
  claimer?: DueClaimer;
};

function ofKey(db: Kysely<Database>, key: ConnectionKey) {
  return selectCredentials(db)
    .where('connection_credentials.kind', '=', key.kind)
    .where('connection_credentials.name', '=', key.name);
}

/** An intent's owner, its silence measured by the database's clock as the intent itself is (protocol rule 15). */
function withOwner(db: Kysely<Database>, key: ConnectionKey) {
  return ofKey(db, key)
    .leftJoin('replicas', 'replicas.replica_id', 'connection_credentials.intent_replica_id')
    .select('replicas.drained_boot as owner_drained_boot')
    .select(
      sql<number | null>`cast(extract(epoch from clock_timestamp() - replicas.last_seen) * 1000 as float8)`.as(
        'owner_age_ms',
      ),
    );
}

export function createCredentialStore(input: CredentialStoreInput): CredentialStore {
  const { db, box, claimer } = input;
  return {
    async read(key) {
      const row = await ofKey(db, key).executeTakeFirst();
      return row && toCredential(row);
    },

    async readAccessToken(key) {
      const row = await ofKey(db, key).executeTakeFirst();
      return row && { credential: toCredential(row), access_token: openColumn(box, row, 'access_token') ?? null };
    },

    async readForAttempt(key): Promise<AttemptView | undefined> {
      const row = await withOwner(db, key).executeTakeFirst();
      if (!row) return undefined;
      const intent_owner =
        row.owner_age_ms === null ? null : { last_seen_age_ms: row.owner_age_ms, drained_boot: row.owner_drained_boot };
      return { credential: toCredential(row), secrets: openSecrets(box, row), intent_owner };
    },

    claimDue: (query) => claimDueCredentials(db, box, claimer, query),

    async nextDueAt() {
      const probe = await db.selectFrom('issuer_incidents').select('probe_at').orderBy('probe_at').executeTakeFirst();
      const row = await db
        .selectFrom('connection_credentials')
        .select('next_refresh_at')
        .where('next_refresh_at', 'is not', null)
        // An array, read once: against a join the planner gives up the index, and sorts the whole table.
        .where(sql<boolean>`coalesce(token_host, '') <> all(array(select idp_host from issuer_incidents))`)
        .where(readable(box))
        .orderBy('next_refresh_at')
        .limit(1)
        .executeTakeFirst();
      const due = [row?.next_refresh_at, probe?.probe_at].flatMap((at) => (at ? [toInstant(at)] : []));
      return due.length === 0 ? null : Math.min(...due);
    },

    async claimIntent(claim) {
      const claimed = await db
        .updateTable('connection_credentials')
        .set({
          intent_attempt_id: claim.attempt_id,
          intent_replica_id: claim.replica_id,
          intent_boot_id: claim.boot_id,
          intent_fingerprint: claim.refresh_token_fingerprint,
          // The one clock that every replica shares: leases are compared with it and with nothing else (rule 7).
          intent_at: sql<Date>`clock_timestamp()`,
          // Whoever presents over an open intent has given up on learning its outcome; after a crash nobody else says so.
          ...(claim.expected_attempt_id === null ? { taken_intent: null } : { ambiguous: true, taken_intent: TAKEN }),
        })
        .where('kind', '=', claim.key.kind)
        .where('name', '=', claim.key.name)
        .where('incarnation', '=', claim.incarnation)
        .where('generation', '=', claim.generation)
        .where('state', '=', 'connected')
        .where('intent_attempt_id', 'is not distinct from', claim.expected_attempt_id)
        .returning('generation')
        .executeTakeFirst();
      return claimed !== undefined;
    },

    async withdrawIntent(key, attempt_id) {
      await db
        .updateTable('connection_credentials')
        .set(GIVEN_BACK)
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('intent_attempt_id', '=', attempt_id)
        .execute();
    },

    settle: (settlement) => db.transaction().execute((transaction) => settleWithin(transaction, input, settlement)),

    async postpone(key, incarnation, generation, until) {
      await db
        .updateTable('connection_credentials')
        .set({ next_refresh_at: toTimestamp(until) })
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('incarnation', '=', incarnation)
        .where('generation', '=', generation)
        .where('state', '=', 'connected')
        .execute();
    },
  };
}
