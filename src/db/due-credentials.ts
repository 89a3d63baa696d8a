import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { DueCredential, DueQuery } from '../core/ports.ts';
import { toTimestamp } from './column-values.ts';
import type { CredentialRow } from './credential-rows.ts';
import type { Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import { BOX_PREFIX_BYTES } from './secret-box.ts';

type DueRow = Pick<CredentialRow, 'kind' | 'name' | 'lock_key' | 'token_host' | 'next_refresh_reason'>;

/** `BigInt()` again: the lock session of `pg` need not have our parsers. */
function toDue({ kind, name, lock_key, token_host, next_refresh_reason }: DueRow): DueCredential {
  return { key: { kind, name }, lock_key: BigInt(lock_key), idp_host: token_host, next_refresh_reason };
}

/** The dedicated session on which this replica holds its advisory locks; the claim must run on it. */
export interface DueClaimer {
  query<Row>(sql: string, parameters: readonly unknown[]): Promise<Row[]>;
}

/** How far past rows that others hold a claim looks. */
const WINDOW = 256;

/**
 * Written with a key that we hold. Others would come up first at every tick and be of no use: the list of connections
 * shows them instead.
 */
export function readable(box: SecretBox): RawBuilder<boolean> {
  const prefixes = box.prefixes.map(({ prefix }) => Buffer.from(prefix).toString('hex')).join(',');
  const ours = (column: RawBuilder<unknown>) => sql`
    encode(substring(${column} from 1 for ${sql.lit(BOX_PREFIX_BYTES)}), 'hex')
      = any(string_to_array(cast(${prefixes} as text), ','))`;
  // As a case, the planner takes it for half of the rows, which is little enough to walk the index of what is due. Bare, it
  // takes it for a few in a thousand, and reads and sorts the whole table to find them.
  return sql<boolean>`(case when ${ours(sql.ref('access_token'))}
    and (refresh_token is null or ${ours(sql.ref('refresh_token'))}) then true else false end)`;
}

/**
 * Not the intent of another replica that lives: only that one can resolve it (protocol rule 15), and a stranger's visit
 * would put it off for the owner too.
 */
function resolvable({ replica_id, owner_wait_ms }: DueQuery): RawBuilder<boolean> {
  if (replica_id === undefined || owner_wait_ms === undefined) return sql`true`;
  return sql`(intent_replica_id is null or intent_replica_id = ${replica_id} or not exists (
    select from replicas where replicas.replica_id = intent_replica_id
      and last_seen > clock_timestamp() - cast(${owner_wait_ms} as float8) * interval '1 millisecond'
      and coalesce(drained_boot, 0) <= intent_boot_id))`;
}

/** While many fail at a host, the loop asks it with one connection at a time; a refusal held for long is asked again. */
function askable({ probe_host, held_before }: DueQuery): RawBuilder<boolean> {
  if (probe_host !== undefined) return sql`token_host = ${probe_host}`;
  return sql`(not exists (select from issuer_incidents where idp_host = token_host)
    or (failure_type is not null and held_since <= ${toTimestamp(held_before ?? null)}))`;
}

/**
 * Design §4: the rows first (`materialized`), then their locks, one by one and no more than are wanted. Asking for the
 * lock in the same scan would lock rows that the limit throws away. The lease is compared by the database's clock
 * (protocol rule 7); `next_refresh_at` was computed by ours, so ours decides whether it is due.
 */
function dueStatement(box: SecretBox, query: DueQuery, locking: boolean): RawBuilder<DueRow> {
  const mine = `{${query.exclude_lock_keys.join(',')}}`;
  const fullHosts = query.exclude_hosts.join('\n');
  return sql<DueRow>`
    with due as materialized (
      select kind, name, lock_key, token_host, next_refresh_reason
      from connection_credentials
      where next_refresh_at <= ${toTimestamp(query.now)}
        and state = 'connected'
        and (intent_at is null
          or intent_at < clock_timestamp() - cast(${query.lease_ms} as float8) * interval '1 millisecond')
        and lock_key <> all(cast(cast(${mine} as text) as bigint[]))
        and coalesce(token_host, '') <> all(string_to_array(cast(${fullHosts} as text), chr(10)))
        and ${askable(query)}
        and ${resolvable(query)}
        and ${readable(box)}
      order by next_refresh_at
      limit ${sql.lit(WINDOW + query.limit)}
    )
    select * from due ${locking ? sql`where pg_try_advisory_lock(lock_key)` : sql``}
    limit ${sql.lit(query.limit)}`;
}

export async function claimDueCredentials(
  db: Kysely<Database>,
  box: SecretBox,
  claimer: DueClaimer | undefined,
  query: DueQuery,
): Promise<DueCredential[]> {
  if (query.limit <= 0) return [];
  const statement = dueStatement(box, query, claimer !== undefined);
  if (!claimer) return (await statement.execute(db)).rows.map(toDue);
  const { sql: text, parameters } = statement.compile(db);
  return (await claimer.query<DueRow>(text, parameters)).map(toDue);
}
