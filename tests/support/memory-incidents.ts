import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import { idpHostOf } from '../../src/core/credential.ts';
import { NOT_OF_THE_ISSUER, spreadOver, spreadTo } from '../../src/core/issuer-incident.ts';
import type { IncidentStore } from '../../src/core/ports.ts';
import type { Instant } from '../../src/core/token-set.ts';
import { byLabel, type CredentialRow, instant, type MemoryTools } from './memory-tables.ts';

const successOf = ({ refresh_sent_at }: CredentialRow) => refresh_sent_at ?? Number.NEGATIVE_INFINITY;

function failedAfter({ credential: { state, failure, revocation } }: CredentialRow, since: Instant): boolean {
  if (state === 'revoked') return revocation?.decided_by === 'idp' && revocation.occurred_at > since;
  return failure !== null && !NOT_OF_THE_ISSUER.some((one) => one === failure.error_class) && failure.last_at > since;
}

/** Told by the server itself when to come back. */
const ASKED_TO_WAIT: readonly unknown[] = ['rate_limited', 'unavailable'];

function waits({ credential: { state, failure, next_refresh_at } }: CredentialRow, now: Instant): boolean {
  if (state !== 'connected' || next_refresh_at === null) return false;
  return next_refresh_at <= now || (failure !== null && !ASKED_TO_WAIT.includes(failure.error_class));
}

export function createMemoryIncidents({ memory }: MemoryTools): IncidentStore {
  const rowsOf = (idp_host: string) =>
    [...memory.tables.credentials.values()].filter(({ credential }) => idpHostOf(credential.binding) === idp_host);
  const reschedule = (row: CredentialRow, more: Partial<CredentialRow['credential']>) =>
    memory.tables.credentials.set(connectionLabel(row.credential.key), {
      ...row,
      credential: { ...row.credential, ...more },
    });
  const isOther = (key: ConnectionKey) => (row: CredentialRow) =>
    connectionLabel(row.credential.key) !== connectionLabel(key);

  return {
    async facts(key, idp_host, since) {
      const rows = rowsOf(idp_host);
      const held_since =
        memory.tables.credentials.get(connectionLabel(key))?.credential.failure?.held_since ?? Number.POSITIVE_INFINITY;
      const since_held = Math.min(
        ...rows
          .filter((row) => successOf(row) >= held_since)
          .map(({ credential: { token } }) => token?.last_refreshed_at ?? Number.POSITIVE_INFINITY),
      );
      const last = Math.max(...rows.map(successOf), Number.NEGATIVE_INFINITY);
      const failing = rows.filter(isOther(key)).filter((row) => failedAfter(row, Math.max(instant(since), last)));
      return {
        incident: memory.tables.incidents.get(idp_host) ?? null,
        connections: rows.filter((row) => row.credential.state === 'connected' && row.refresh_token !== null).length,
        failing: failing.length,
        success_since_held: Number.isFinite(since_held) ? since_held : null,
      };
    },

    async open(idp_host, { opened_at, probe_at }) {
      if (memory.tables.incidents.has(idp_host)) return false;
      memory.tables.incidents.set(idp_host, { opened_at: instant(opened_at), probe_at: instant(probe_at) });
      for (const row of rowsOf(idp_host).filter((one) => waits(one, instant(opened_at)))) {
        const next_refresh_at = Math.min(row.credential.next_refresh_at ?? probe_at, instant(probe_at));
        reschedule(row, { next_refresh_at });
      }
      return true;
    },

    async close(idp_host, now) {
      const incident = memory.tables.incidents.get(idp_host);
      if (!incident) return undefined;
      memory.tables.incidents.delete(idp_host);
      const waiting = rowsOf(idp_host).filter((row) => waits(row, instant(now)));
      const over = spreadOver(waiting.length);
      for (const row of waiting) {
        const expires_at = row.credential.token?.expires_at ?? null;
        reschedule(row, {
          next_refresh_at: spreadTo(row.credential.lock_key, expires_at, { now: instant(now), over }),
        });
      }
      return { opened_at: incident.opened_at, connections: waiting.length, spread_ms: over };
    },

    async claimProbes(now, next) {
      const claimed = [...memory.tables.incidents].filter(([, { probe_at }]) => probe_at <= instant(now));
      const probes: string[] = [];
      const ended: string[] = [];
      for (const [host, incident] of claimed) {
        const failing = rowsOf(host).some(({ credential }) => credential.state === 'connected' && credential.failure);
        (failing ? probes : ended).push(host);
        if (failing) memory.tables.incidents.set(host, { ...incident, probe_at: instant(next) });
        else memory.tables.incidents.delete(host);
      }
      return { probes, ended };
    },

    async askAnother(key, idp_host, at) {
      const dueAt = ({ credential }: CredentialRow) => credential.next_refresh_at ?? Number.POSITIVE_INFINITY;
      const well = rowsOf(idp_host)
        .filter(isOther(key))
        .filter((row) => {
          const { state, failure, ambiguous, intent } = row.credential;
          return state === 'connected' && row.refresh_token !== null && !failure && !ambiguous && !intent;
        });
      const [first] = well.sort((a, b) =>
        dueAt(a) === dueAt(b) ? byLabel(a.credential, b.credential) : dueAt(a) - dueAt(b),
      );
      if (!first) return undefined;
      const next_refresh_at = Math.min(dueAt(first), instant(at));
      reschedule(first, { next_refresh_at, next_refresh_reason: 'issuer_check' });
      return { ...first.credential.key };
    },
  };
}
