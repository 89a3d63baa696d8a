import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { Credential, Fence, Settlement, SettleResult, TokenChange } from '../core/credential.ts';
import { isAppError } from '../core/errors.ts';
import type { Told } from './auth-events.ts';
import { insertEvents } from './auth-events.ts';
import { drawMany, keysOf, recordset } from './column-values.ts';
import type { CredentialRow } from './credential-rows.ts';
import { rowKey, selectCredentials, toCredential } from './credential-rows.ts';
import { grouped } from './grouped.ts';
import type { Database } from './schema.ts';
import type { Columns } from './settlement-columns.ts';
import { CLOSED_INTENT, changedColumns } from './settlement-columns.ts';
import type { SettlementTools } from './settlement-tools.ts';

/** The most settlements of one transaction; what it writes is planned for so many rows. */
export const MOST_TOGETHER = 32;

type Accepted = { settlement: Settlement; row: CredentialRow; current: Credential };
type Change = { key: ConnectionKey; columns: Columns };

/** Whether rows that somebody else has locked are waited for, or left out. */
export type Locked = 'wait' | 'skip';

/**
 * The one door: locks the rows, tests each fence, applies the changes and writes their events. The caller owns the
 * transaction, and must roll back whatever else it did when the result is not applied. Each connection at most once.
 * @returns per settlement, in order; undefined: with `skip`, a row that is locked elsewhere or gone
 */
export async function settleTogether(
  transaction: Kysely<Database>,
  tools: SettlementTools,
  settlements: readonly Settlement[],
  locked: Locked,
): Promise<(SettleResult | undefined)[]> {
  const rows = await lockRows(transaction, settlements, locked);
  const results = new Map<Settlement, SettleResult>();
  const accepted: Accepted[] = [];
  for (const settlement of settlements) {
    const row = rows.get(rowKey(settlement.key));
    if (!row) {
      if (locked === 'wait') results.set(settlement, { applied: false, current: undefined });
      continue;
    }
    const { fence, change } = settlement;
    const current = toCredential(row);
    if (!fenceHolds(current, fence) || isToldAlready(current, change)) {
      results.set(settlement, { applied: false, current });
    } else accepted.push({ settlement, row, current });
  }
  for (const [settlement, result] of await apply(transaction, tools, accepted)) results.set(settlement, result);
  return settlements.map((settlement) => results.get(settlement));
}

/** One settlement in a transaction of the caller. */
export async function settleWithin(
  transaction: Kysely<Database>,
  tools: SettlementTools,
  settlement: Settlement,
): Promise<SettleResult> {
  const [result] = await settleTogether(transaction, tools, [settlement], 'wait');
  return result ?? { applied: false, current: undefined };
}

/**
 * Outcomes of refreshes that come together share a transaction, in which each stands or falls by itself. It waits for
 * nobody: what is locked elsewhere is settled alone, and so is each when the database refuses a part of it.
 */
export function settler(
  db: Kysely<Database>,
  tools: SettlementTools,
): (settlement: Settlement) => Promise<SettleResult> {
  const alone = (settlement: Settlement) =>
    db.transaction().execute((transaction) => settleWithin(transaction, tools, settlement));
  const together = (settlements: readonly Settlement[]) =>
    db.transaction().execute((transaction) => settleTogether(transaction, tools, settlements, 'skip'));
  const shared = grouped<Settlement, SettleResult>(
    async (settlements) => {
      const results = await together(settlements).catch((error: unknown) => {
        // Whether it was committed is unknown, and known to be so by every caller.
        if (isAppError(error) && error.code === 'database_unavailable') throw error;
        return [];
      });
      return settlements.map((settlement, index) => () => results[index] ?? alone(settlement));
    },
    { most: MOST_TOGETHER, keyOf: ({ key }) => rowKey(key) },
  );
  // What a person does is rare, and a Disconnect locks the consents of its connection, too.
  const personal = ({ change }: Settlement) => change.type === 'connected' || change.type === 'disconnected';
  return (settlement) => (personal(settlement) ? alone(settlement) : shared(settlement));
}

async function lockRows(
  transaction: Kysely<Database>,
  settlements: readonly Settlement[],
  locked: Locked,
): Promise<Map<string, CredentialRow>> {
  const select = selectCredentials(transaction)
    .where(keysOf(settlements.map(({ key }) => key)))
    .forUpdate();
  const rows = await (locked === 'skip' ? select.skipLocked() : select).execute();
  return new Map(rows.map((row) => [rowKey(row), row]));
}

async function apply(
  transaction: Kysely<Database>,
  tools: SettlementTools,
  accepted: readonly Accepted[],
): Promise<Map<Settlement, SettleResult>> {
  const results = new Map<Settlement, SettleResult>();
  if (accepted.length === 0) return results;
  // Rules 1 and 2: every change of token state draws a number that never was; a failure is no change of token state.
  const drawing = accepted.filter(({ settlement }) => settlement.change.type !== 'kept').length;
  const numbers = await drawMany(transaction, 'credential_generation_seq', drawing);
  const changes: Change[] = [];
  const told: Told[] = [];
  for (const { settlement, row, current } of accepted) {
    const { key, change, events } = settlement;
    const drawn = change.type === 'kept' ? undefined : numbers.shift();
    const columns = await changedColumns(transaction, tools, row, settlement);
    const all = drawn === undefined ? columns : { ...columns, ...CLOSED_INTENT, generation: drawn };
    changes.push({ key, columns: all });
    told.push({ key, events, generation: drawn });
    const settled = toCredential({ ...row, ...all, intent_age_ms: ageAfter(row, all) });
    results.set(settlement, { applied: true, generation: drawn ?? current.generation, current: settled });
  }
  await writeColumns(transaction, changes);
  await insertEvents(transaction, tools, told);
  return results;
}

/** An older intent that is given back is older by what lies between the two. */
function ageAfter({ intent_at, intent_age_ms }: CredentialRow, { intent_at: after }: Columns): number | null {
  if (!intent_at || !after || intent_age_ms === null) return intent_age_ms;
  return intent_age_ms + intent_at.getTime() - after.getTime();
}

/** One statement for all that change the same columns. */
async function writeColumns(transaction: Kysely<Database>, changes: readonly Change[]): Promise<void> {
  const alike = new Map<string, Change[]>();
  for (const change of changes) {
    const names = Object.keys(change.columns).sort().join();
    alike.set(names, [...(alike.get(names) ?? []), change]);
  }
  for (const [names, same] of alike) {
    const set = names.split(',').map((name) => sql`${sql.ref(name)} = new.${sql.ref(name)}`);
    const rows = same.map(({ key, columns }) => ({ ...key, ...columns }));
    await sql`
      update connection_credentials as old set ${sql.join(set)}
      from ${recordset('connection_credentials', rows, MOST_TOGETHER)} as new
      where old.kind = new.kind and old.name = new.name`.execute(transaction);
  }
}

/**
 * A failure is told once. An answer closes the intent of its own attempt (rule 8): where that is not open, this very
 * answer is on the row, or whoever took the intent over has told of the attempt. And each counts on from what it read:
 * where another was told since, as by a replay, it may have been the same one.
 */
function isToldAlready({ intent, failure }: Credential, change: TokenChange): boolean {
  if (change.type !== 'kept') return false;
  const taken = change.intent === 'close' && intent?.attempt_id !== change.attempt_id;
  return taken || change.failure.count !== (failure?.count ?? 0) + 1;
}

/** Protocol rules 11, 13, 18 and 19. */
export function fenceHolds(current: Credential, fence: Fence): boolean {
  if (current.incarnation !== fence.incarnation) return false;
  switch (fence.by) {
    case 'generation':
      return current.generation === fence.generation;
    case 'consent':
      return current.consent_seq < fence.consent_seq;
    case 'lineage':
      if (current.generation === fence.parent_generation) return true;
      return (
        current.state === 'revoked' &&
        current.revocation?.from_generation === fence.parent_generation &&
        current.revocation.decided_by !== 'person'
      );
  }
}
