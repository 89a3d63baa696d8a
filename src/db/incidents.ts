import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import { NOT_OF_THE_ISSUER, SPREAD_MARGIN_MS, SPREAD_PLACES, spreadOver } from '../core/issuer-incident.ts';
import type { IncidentStore } from '../core/ports.ts';
import type { Instant } from '../core/token-set.ts';
import { toInstant, toTimestamp } from './column-values.ts';
import type { Database } from './schema.ts';

type FactRow = {
  opened_at: Date | null;
  probe_at: Date | null;
  connections: bigint;
  failing: bigint;
  success_since_held: Date | null;
};

const others = ({ kind, name }: ConnectionKey): RawBuilder<boolean> => sql`(kind <> ${kind} or name <> ${name})`;

/** From the rows themselves: a failure that healed, or whose connection is deleted, counts no more. */
function factsOf(key: ConnectionKey, idp_host: string, since: Instant): RawBuilder<FactRow> {
  const excluded = sql.join(NOT_OF_THE_ISSUER.map((one) => sql.lit(one)));
  return sql<FactRow>`
    with host as materialized (
      select kind, name, state, refresh_token is not null as refreshable, failure_last_at, failure_error_class,
        revocation_occurred_at, revocation_decided_by, refresh_sent_at, last_refreshed_at,
        (select held_since from connection_credentials where kind = ${key.kind} and name = ${key.name}) as held_since
      from connection_credentials where token_host = ${idp_host}
    ), success as (select max(refresh_sent_at) as at from host)
    select
      (select opened_at from issuer_incidents where idp_host = ${idp_host}),
      (select probe_at from issuer_incidents where idp_host = ${idp_host}),
      count(*) filter (where state = 'connected' and refreshable) as connections,
      count(*) filter (where ${others(key)} and (
        (state = 'connected' and failure_error_class not in (${excluded})
          and failure_last_at > greatest(${toTimestamp(since)}::timestamptz, success.at))
        or (state = 'revoked' and revocation_decided_by = 'idp'
          and revocation_occurred_at > greatest(${toTimestamp(since)}::timestamptz, success.at))
      )) as failing,
      min(last_refreshed_at) filter (where refresh_sent_at >= held_since) as success_since_held
    from host cross join success`;
}

/** Those that wait for a host, but for the ones that it told itself when to come back. */
function waiting(idp_host: string, now: Instant): RawBuilder<boolean> {
  return sql`token_host = ${idp_host} and state = 'connected' and (next_refresh_at <= ${toTimestamp(now)}
    or (next_refresh_at is not null and failure_error_class not in ('rate_limited', 'unavailable')))`;
}

/** The SQL of `spreadTo`. */
function spread(idp_host: string, now: Instant, over: number): RawBuilder<unknown> {
  const at = sql`cast(${toTimestamp(now)} as timestamptz)`;
  const milliseconds = (ms: RawBuilder<unknown>) => sql`${ms} * interval '1 millisecond'`;
  const place = sql`abs(lock_key % ${sql.lit(Number(SPREAD_PLACES))})`;
  const due = sql`${at} + ${milliseconds(sql`floor(${place} * cast(${over} as float8) / ${sql.lit(Number(SPREAD_PLACES))})`)}`;
  return sql`
    update connection_credentials
    set next_refresh_at = case when expires_at > ${at}
      then least(${due}, greatest(${at}, expires_at - ${milliseconds(sql.lit(SPREAD_MARGIN_MS))}))
      else ${due} end
    where ${waiting(idp_host, now)}`;
}

export function createIncidentStore(db: Kysely<Database>): IncidentStore {
  return {
    async facts(key, idp_host, since) {
      const [row] = (await factsOf(key, idp_host, since).execute(db)).rows;
      const { opened_at = null, probe_at = null } = row ?? {};
      return {
        incident: opened_at && probe_at ? { opened_at: toInstant(opened_at), probe_at: toInstant(probe_at) } : null,
        connections: Number(row?.connections ?? 0),
        failing: Number(row?.failing ?? 0),
        success_since_held: toInstant(row?.success_since_held ?? null),
      };
    },

    open: (idp_host, { opened_at, probe_at }) =>
      db.transaction().execute(async (transaction) => {
        const opened = await transaction
          .insertInto('issuer_incidents')
          .values({ idp_host, opened_at: toTimestamp(opened_at), probe_at: toTimestamp(probe_at) })
          .onConflict((conflict) => conflict.doNothing())
          .returning('idp_host')
          .executeTakeFirst();
        if (!opened) return false;
        await sql`
          update connection_credentials set next_refresh_at = ${toTimestamp(probe_at)}
          where ${waiting(idp_host, opened_at)} and next_refresh_at > ${toTimestamp(probe_at)}`.execute(transaction);
        return true;
      }),

    close: (idp_host, now) =>
      db.transaction().execute(async (transaction) => {
        const ended = await transaction
          .deleteFrom('issuer_incidents')
          .where('idp_host', '=', idp_host)
          .returning('opened_at')
          .executeTakeFirst();
        if (!ended) return undefined;
        const count = sql<{ count: bigint }>`
          select count(*) as count from connection_credentials where ${waiting(idp_host, now)}`;
        const connections = Number((await count.execute(transaction)).rows[0]?.count ?? 0);
        const spread_ms = spreadOver(connections);
        await spread(idp_host, now, spread_ms).execute(transaction);
        return { opened_at: toInstant(ended.opened_at), connections, spread_ms };
      }),

    async claimProbes(now, next) {
      const claimed = await db
        .updateTable('issuer_incidents')
        .set({ probe_at: toTimestamp(next) })
        .where('probe_at', '<=', toTimestamp(now))
        .returning('idp_host')
        .execute();
      const hosts = claimed.map(({ idp_host }) => idp_host);
      if (hosts.length === 0) return { probes: [], ended: [] };
      const gone = await db
        .deleteFrom('issuer_incidents')
        .where('idp_host', 'in', hosts)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('connection_credentials')
                .select('name')
                .whereRef('token_host', '=', 'issuer_incidents.idp_host')
                .where('state', '=', 'connected')
                .where('failure_type', 'is not', null),
            ),
          ),
        )
        .returning('idp_host')
        .execute();
      const ended = gone.map(({ idp_host }) => idp_host);
      return { probes: hosts.filter((host) => !ended.includes(host)), ended };
    },

    async askAnother(key, idp_host, at) {
      const { rows } = await sql<ConnectionKey>`
        update connection_credentials
        set next_refresh_at = least(next_refresh_at, ${toTimestamp(at)}::timestamptz),
          next_refresh_reason = 'issuer_check'
        where (kind, name) = (
          select kind, name from connection_credentials
          where token_host = ${idp_host} and ${others(key)} and state = 'connected' and refresh_token is not null
            and failure_type is null and not ambiguous and intent_at is null
          order by next_refresh_at nulls last, kind, name limit 1)
        returning kind, name`.execute(db);
      return rows[0] && { kind: rows[0].kind, name: rows[0].name };
    },
  };
}
