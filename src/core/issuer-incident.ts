import type { IssuerIncident, RefreshFailure } from './credential.ts';
import type { RefreshOutcome } from './refresh-outcome.ts';
import type { ProtocolSettings } from './settings.ts';
import type { Instant } from './token-set.ts';

/** What is known of one authorization server's host when an attempt of one connection has failed there. */
export type IssuerFacts = {
  incident: IssuerIncident | null;
  /** Connections of that host which hold a refresh token, this one included. */
  connections: number;
  /** Other connections that failed there within the window, and after the last success of any. */
  failing: number;
  /** When the first success came of what was sent there since this connection's refusal is held. */
  success_since_held: Instant | null;
};

type Settings = Pick<ProtocolSettings, 'incident_window' | 'incident_hold' | 'incident_probe' | 'verdict_confirmation'>;

/** So many different connections, failing with no success in between, are one incident. */
export const INCIDENT_CONNECTIONS = 3;

/** What we refused ourselves, and attempts that ended with their own process, say nothing about the server. */
export const NOT_OF_THE_ISSUER = ['egress_refused', 'ambiguous'] as const;

/** An answer, or the lack of one, that may be the fault of the server. */
export function tellsOfIssuer(outcome: Exclude<RefreshOutcome, { type: 'success' }>): boolean {
  if (outcome.type !== 'transient') return true;
  return !NOT_OF_THE_ISSUER.some((one) => one === outcome.error_class);
}

/** Whether one more failure, of a connection that is not among `failing`, makes it an incident. */
export function opensIncident({ incident, failing }: Pick<IssuerFacts, 'incident' | 'failing'>): boolean {
  return incident === null && failing + 1 >= INCIDENT_CONNECTIONS;
}

/** How long a refused credential waits, and since when: its verdict is not believed yet. null: it is believed. */
export type Hold = { held_since: Instant; retry_at: Instant; why: 'incident' | 'confirmation' } | null;

/**
 * Whether a terminal verdict (`invalid_grant`) is believed. A server that has lost its grants for an hour, by a bad
 * deploy, says to everybody what it says to one whose grant has ended; so, where there are others to compare with, the
 * first refusal is kept until another connection has been asked, and then presented once more:
 *
 * - during an incident no verdict is believed that has not been held for `incident_hold`;
 * - without one, a second refusal is believed once another connection has succeeded there since the first, or after the
 *   same time when none could be asked.
 *
 * Fewer than three connections cannot make an incident: the first refusal is believed at once. Only what was presented
 * since then repeats a refusal: an answer that is replayed from the escrow is the first one still, and a late one, sent
 * before the server recovered, says nothing about it now.
 *
 * @param presented when the token was sent that is refused
 */
export function weighVerdict(
  facts: IssuerFacts,
  failure: RefreshFailure | null,
  { now, presented }: { now: Instant; presented: Instant },
  settings: Settings,
): Hold {
  const first = failure?.held_since;
  const held_since = first ?? now;
  const { incident_hold, incident_probe, verdict_confirmation } = settings;
  const { success_since_held: success } = facts;
  const repeated = first !== undefined && presented > first && (success === null || success <= presented);
  if (repeated && presented - first >= incident_hold) return null;
  if (facts.incident !== null) return { held_since, retry_at: now + incident_probe, why: 'incident' };
  const said = first === undefined || repeated;
  if (said && facts.connections < INCIDENT_CONNECTIONS) return null;
  if (repeated && success !== null) return null;
  const pause = repeated ? incident_probe : verdict_confirmation;
  return { held_since, retry_at: now + pause, why: 'confirmation' };
}

/** A hundred connections are spread over a minute when their server answers again. */
const SPREAD_MS_EACH = 600;

/** Over how long the renewal of so many is spread; each takes its place in it by its lock key. */
export function spreadOver(connections: number): number {
  return connections * SPREAD_MS_EACH;
}

/** The places within the spread. */
export const SPREAD_PLACES = 1_000n;

/** No renewal is put off into the last seconds of an access token that still works. */
export const SPREAD_MARGIN_MS = 10_000;

/** When a connection that waited is due again; never past the end of an access token that still works. */
export function spreadTo(lock_key: bigint, expires_at: Instant | null, input: { now: Instant; over: number }): Instant {
  const { now, over } = input;
  // Of a negative key the remainder is negative: both engines take its magnitude.
  const place = lock_key % SPREAD_PLACES;
  const at = now + Math.floor((Number(place < 0n ? -place : place) * over) / Number(SPREAD_PLACES));
  if (expires_at === null || expires_at <= now) return at;
  return Math.min(at, Math.max(now, expires_at - SPREAD_MARGIN_MS));
}
