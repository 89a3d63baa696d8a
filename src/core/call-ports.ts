import type { CallEra, CallOutcome } from './call-record.ts';
import type { ConnectionKey } from './connection.ts';
import type { Instant } from './token-set.ts';

/** A call as it begins. */
export type CallBeginning = {
  key: ConnectionKey;
  actor: string;
  /** `tools/call` and the like, or an HTTP method. */
  method: string;
  /** The upstream's own name of the tool. */
  tool?: string | undefined;
  /** What is asked of the upstream behind the tool: an operation id, a path's template; never a query. */
  operation?: string | undefined;
  era: CallEra;
  /** Of the JSON of the parameters, or of the body. Absent: not known. */
  request_bytes?: number | undefined;
  /** Kept only where the operator turned that on. */
  arguments?: unknown;
};

export type CallEnd = { outcome: CallOutcome; response_bytes?: number | undefined };

/** The one way into the records, the metrics and the count of calls under way, whatever the gateway. */
export interface CallRecorder {
  /** Never waits and never throws. The function that it gives is called once, when the last byte is answered; more calls of it change nothing. */
  begin(call: CallBeginning): (end: CallEnd) => void;
}

/** What the recorder tells whoever counts. */
export interface CallMetrics {
  callBegan(key: ConnectionKey): void;
  callEnded(key: ConnectionKey, outcome: CallOutcome, duration_ms: number): void;
  /** Records that could not be kept. */
  callsLost(count: number): void;
}

/** A call as it is kept. */
export type CallRecord = {
  /** Sorts by time: see `timeOrderedId`. */
  id: string;
  occurred_at: Instant;
  key: ConnectionKey;
  actor: string;
  method: string;
  tool: string | null;
  operation: string | null;
  outcome: CallOutcome;
  duration_ms: number;
  request_bytes: number | null;
  response_bytes: number | null;
  era: CallEra;
  /** null also where arguments are not kept. */
  arguments: unknown;
  replica_id: string;
};

/** Calls of one replica that could not be kept. */
export type CallLoss = { id: string; since: Instant; until: Instant; calls: number; replica_id: string };

export type CallQuery = {
  kind?: string | undefined;
  name?: string | undefined;
  actor?: string | undefined;
  tool?: string | undefined;
  outcome?: readonly CallOutcome[] | undefined;
  since?: Instant | undefined;
  until?: Instant | undefined;
  /** The id of a record: only older ones. */
  before?: string | undefined;
  limit: number;
};

export interface CallRecordStore {
  /** All in one transaction, and sent again when its end is not known: a record stays as it is, a loss has grown. */
  append(records: readonly CallRecord[], losses: readonly CallLoss[]): Promise<void>;
  /** Newest first. */
  list(query: CallQuery): Promise<CallRecord[]>;
  /** Those that overlap the time, newest first, a hundred at most. */
  losses(time: { since?: Instant | undefined; until?: Instant | undefined }): Promise<CallLoss[]>;
  prune(before: Instant, limit: number): Promise<number>;
}
