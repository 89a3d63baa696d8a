import type { AuthEventType } from './auth-event.ts';
import type { CallMetrics } from './call-ports.ts';
import type { ConnectionKey } from './connection.ts';

/** What the flows count as it happens. Labels are connections and closed lists, never tools, actors or hosts. */
export interface Metrics extends CallMetrics {
  /** A change of a token that is committed, as the history names it. */
  tokenChanged(key: ConnectionKey, event: AuthEventType): void;
}

/** What is looked up when somebody asks; null: the database does not answer. */
export type MetricsSample = {
  /** `state` and `health` are null where a connection has no OAuth. */
  connections: readonly { kind: string; state: string | null; health: string | null; valid: boolean }[] | null;
  /** How long the row that has been due the longest has waited, in seconds; 0: none is. */
  refresh_lag_seconds: number | null;
  refreshes_in_flight: number;
};
