import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { RevocationOrder } from '../core/credential.ts';
import type { PendingRevocation, RevocationStore } from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';
import { revocationClient, trustOf } from '../core/token-client.ts';
import { insertEvents } from './auth-events.ts';
import { json, toInstant, toTimestamp } from './column-values.ts';
import type { CredentialRow } from './credential-rows.ts';
import { openSecrets } from './credential-rows.ts';
import type { Database, TokenRevocationTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import type { SettlementTools } from './settlement-tools.ts';

export type RevocationStoreInput = SettlementTools & { db: Kysely<Database> };

type SealedColumn = 'refresh_token' | 'access_token' | 'client_secret';
type Row = Selectable<TokenRevocationTable>;

const contextOf = ({ kind, name }: { kind: string; name: string }, column: SealedColumn) => ({
  kind,
  name,
  column: `token_revocations.${column}`,
});

async function insert(
  db: Kysely<Database>,
  { box, clock }: SettlementTools,
  revocation: Omit<PendingRevocation, 'created_at' | 'attempts'>,
): Promise<void> {
  const { id, key, actor, binding, origin_of_trust } = revocation;
  const seal = (column: SealedColumn, secret: Secret | null) => secret && box.seal(secret, contextOf(key, column));
  const now = toTimestamp(clock.now());
  await db
    .insertInto('token_revocations')
    .values({
      id,
      ...key,
      actor,
      binding: json(binding),
      origin_of_trust,
      refresh_token: seal('refresh_token', revocation.refresh_token),
      access_token: seal('access_token', revocation.access_token),
      client_secret: seal('client_secret', revocation.client_secret),
      created_at: now,
      next_at: now,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/**
 * Lists the tokens of a row that is about to lose them, within the transaction in which it does. Nothing where there is
 * no token, none that opens, or no endpoint to revoke it at.
 */
export async function moveToRevocations(
  transaction: Kysely<Database>,
  tools: SettlementTools,
  row: CredentialRow,
  { id, actor, config }: RevocationOrder,
): Promise<void> {
  const secrets = openSecrets(tools.box, row);
  if (!secrets || row.binding === null) return;
  const client = revocationClient(row.binding, config, secrets.client_secret);
  if (client.binding.revocation_endpoint === null) return;
  const { refresh_token, access_token } = secrets;
  const key = { kind: row.kind, name: row.name };
  const origin_of_trust = trustOf(row.binding, config);
  await insert(transaction, tools, { id, key, actor, ...client, origin_of_trust, refresh_token, access_token });
}

/** undefined: a part of it does not open. */
function toRevocation(box: SecretBox, row: Row): PendingRevocation | undefined {
  const { id, actor, binding, origin_of_trust, attempts } = row;
  const opened = { refresh_token: null, access_token: null, client_secret: null } as Record<
    SealedColumn,
    Secret | null
  >;
  for (const column of ['refresh_token', 'access_token', 'client_secret'] as const) {
    const sealed = row[column];
    if (sealed === null) continue;
    const result = box.open(sealed, contextOf(row, column));
    if (!result.opened) return undefined;
    opened[column] = result.secret;
  }
  const key = { kind: row.kind, name: row.name };
  return { id, key, actor, binding, origin_of_trust, attempts, created_at: toInstant(row.created_at), ...opened };
}

export function createRevocationStore(tools: RevocationStoreInput): RevocationStore {
  const { db, box } = tools;
  return {
    enqueue: (revocation) => insert(db, tools, revocation),

    async claimDue({ now, lease_until, limit, id }) {
      const due = db
        .selectFrom('token_revocations')
        .select('id')
        .where('next_at', '<=', toTimestamp(now))
        .$if(id !== undefined, (query) => query.where('id', '=', id ?? ''))
        .orderBy('next_at')
        .limit(limit)
        .forUpdate()
        .skipLocked();
      const rows = await db
        .updateTable('token_revocations')
        .set({ next_at: toTimestamp(lease_until), attempts: sql<number>`attempts + 1` })
        .where('id', 'in', due)
        .returningAll()
        .execute();
      return rows.map((row) => {
        const { id: rowId, kind, name, actor, binding } = row;
        const created_at = toInstant(row.created_at);
        return (
          toRevocation(box, row) ?? { unreadable: true, id: rowId, key: { kind, name }, actor, binding, created_at }
        );
      });
    },

    finish: (id, token, key, events) =>
      db.transaction().execute(async (transaction) => {
        const row = await transaction
          .selectFrom('token_revocations')
          .select(['refresh_token', 'access_token'])
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst();
        // Whoever comes second has nothing to tell.
        if (!row || (token !== 'all' && row[token] === null)) return;
        const other = token === 'refresh_token' ? 'access_token' : 'refresh_token';
        if (token === 'all' || row[other] === null) {
          await transaction.deleteFrom('token_revocations').where('id', '=', id).execute();
        } else {
          await transaction
            .updateTable('token_revocations')
            .set({ [token]: null })
            .where('id', '=', id)
            .execute();
        }
        await insertEvents(transaction, tools, [{ key, events }]);
      }),

    async postpone(id, until) {
      await db
        .updateTable('token_revocations')
        .set({ next_at: toTimestamp(until) })
        .where('id', '=', id)
        .execute();
    },

    async nextDueAt() {
      const row = await db
        .selectFrom('token_revocations')
        .select('next_at')
        .orderBy('next_at')
        .limit(1)
        .executeTakeFirst();
      return row ? toInstant(row.next_at) : null;
    },
  };
}
