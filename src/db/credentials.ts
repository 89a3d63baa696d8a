import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { AttemptView, CredentialStore } from '../core/ports.ts';
import { keysOf, toInstant, toTimestamp } from './column-values.ts';
import { openColumn, openSecrets, rowKey, selectCredentials, toCredential } from './credential-rows.ts';
import type { DueClaimer } from './due-credentials.ts';
import { claimDueCredentials, readable } from './due-credentials.ts';
import { grouped } from './grouped.ts';
import { intentClaimer } from './intents.ts';
import type { Database } from './schema.ts';
import { MOST_TOGETHER, settler } from './settlement.ts';
import type { SettlementTools } from './settlement-tools.ts';
import { GIVEN_BACK } from './taken-intent.ts';

export type CredentialStoreInput = SettlementTools & {
  db: Kysely<Database>;
  /** Absent when embedded: one process needs no lock. */
  claimer?: DueClaimer;
};

/** With an intent's owner, its silence measured by the database's clock as the intent itself is (protocol rule 15). */
function selectWithOwner(db: Kysely<Database>) {
  return selectCredentials(db)
    .leftJoin('replicas', 'replicas.replica_id', 'connection_credentials.intent_replica_id')
    .select('replicas.drained_boot as owner_drained_boot')
    .select(
      sql<number | null>`cast(extract(epoch from clock_timestamp() - replicas.last_seen) * 1000 as float8)`.as(
        'owner_age_ms',
      ),
    );
}

type OwnedRow = Awaited<ReturnType<ReturnType<typeof selectWithOwner>['execute']>>[number];

function reader(db: Kysely<Database>) {
  return grouped<ConnectionKey, OwnedRow | undefined>(
    async (keys) => {
      const rows = await selectWithOwner(db).where(keysOf(keys)).execute();
      const byKey = new Map(rows.map((row) => [rowKey(row), row]));
      return keys.map((key) => () => byKey.get(rowKey(key)));
    },
    { most: MOST_TOGETHER },
  );
}

export function createCredentialStore(input: CredentialStoreInput): CredentialStore {
  const { db, box, claimer } = input;
  const read = reader(db);
  const settle = settler(db, input);
  const claimIntent = intentClaimer(db);
  return {
    async read(key) {
      const row = await read(key);
      return row && toCredential(row);
    },

    async readAccessToken(key) {
      const row = await read(key);
      return row && { credential: toCredential(row), access_token: openColumn(box, row, 'access_token') ?? null };
    },

    async readForAttempt(key): Promise<AttemptView | undefined> {
      const row = await read(key);
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

    claimIntent,

    async withdrawIntent(key, attempt_id) {
      await db
        .updateTable('connection_credentials')
        .set(GIVEN_BACK)
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('intent_attempt_id', '=', attempt_id)
        .execute();
    },

    settle,

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
