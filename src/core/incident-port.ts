import type { ConnectionKey } from './connection.ts';
import type { IssuerIncident } from './credential.ts';
import type { IssuerFacts } from './issuer-incident.ts';
import type { Instant } from './token-set.ts';

export interface IncidentStore {
  /** What is known of an authorization server's host, seen from one connection of it; failures before `since` are old. */
  facts(key: ConnectionKey, idp_host: string, since: Instant): Promise<IssuerFacts>;
  /** What fails there becomes due by its first probe. False: one is open already, and stays as it is. */
  open(idp_host: string, incident: IssuerIncident): Promise<boolean>;
  /**
   * Ends it, and spreads the due times of those that waited for it. Undefined: none was open, or another has ended it.
   */
  close(
    idp_host: string,
    now: Instant,
  ): Promise<{ opened_at: Instant; connections: number; spread_ms: number } | undefined>;
  /**
   * The hosts that may be asked now, with one connection each: whoever gets one moves its probe to `next`, so that
   * nobody else does before. Incidents that no failing connection bears out any more end here.
   */
  claimProbes(now: Instant, next: Instant): Promise<{ probes: string[]; ended: string[] }>;
  /** Makes another connection of the host due, one that is not failing: what becomes of it tells about the server. */
  askAnother(key: ConnectionKey, idp_host: string, at: Instant): Promise<ConnectionKey | undefined>;
}
