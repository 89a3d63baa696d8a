import {
  type CallOutcome,
  outcomeOfError,
  storableArguments,
  storableText,
  timeOrderedId,
} from '../core/call-record.ts';
import { connectionLabel } from '../core/connection.ts';
import { toAppError } from '../core/errors.ts';
import type {
  CallBeginning,
  CallEnd,
  CallLoss,
  CallMetrics,
  CallRecord,
  CallRecorder,
  CallRecordStore,
  Clock,
  Log,
  Random,
} from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';

export type CallRecordsDeps = {
  store: Pick<CallRecordStore, 'append'>;
  metrics: CallMetrics;
  clock: Clock;
  random: Random;
  log: Log;
  replica_id: string;
  /** Whether the arguments of calls are kept. */
  record_arguments: boolean;
  settings?: Partial<CallRecordsSettings>;
};

export type CallRecordsSettings = {
  /** So many at once, or what has come within `interval` milliseconds. */
  batch: number;
  interval: number;
  /** The longest pause while the database is away. */
  retry_max: number;
  /** So many are held in memory: 10,000 are about 5 MB, with arguments at most 80 MB. */
  capacity: number;
  /** How long the stop waits for the last ones. */
  stop: number;
};

const DEFAULTS: CallRecordsSettings = {
  batch: 1_000,
  interval: 1_000,
  retry_max: 30_000,
  capacity: 10_000,
  stop: 3_000,
};

export interface CallRecords extends CallRecorder {
  start(): void;
  /** Writes what is left; says how many could not be. */
  stop(): Promise<void>;
}

const ID_BYTES = 10;
/** A draw costs the same whether it is for one id or for so many. */
const IDS_PER_DRAW = 256;

class BufferedCallRecords implements CallRecords {
  readonly #deps: CallRecordsDeps;
  readonly #settings: CallRecordsSettings;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #buffer: CallRecord[] = [];
  #loss: CallLoss | null = null;
  #failures = 0;
  /** Smaller after the database refused a batch, until the one that it refuses is found. */
  #batch: number;
  /** Drawn, and not used yet. */
  #chance: Uint8Array = new Uint8Array(0);
  #loop: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: CallRecordsDeps) {
    this.#deps = deps;
    this.#settings = { ...DEFAULTS, ...deps.settings };
    this.#batch = this.#settings.batch;
  }

  begin(call: CallBeginning): (end: CallEnd) => void {
    const { clock, metrics } = this.#deps;
    const occurred_at = clock.now();
    const began = clock.monotonic();
    let over = false;
    metrics.callBegan(call.key);
    return (end) => {
      if (over) return;
      over = true;
      const duration_ms = clock.monotonic() - began;
      metrics.callEnded(call.key, end.outcome, duration_ms);
      this.#add(this.#record(call, end, occurred_at, duration_ms));
    };
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    const { clock, log } = this.#deps;
    this.#stopping.abort();
    this.#wake.abort();
    const written = this.#loop.then(() => this.#flush(Number.POSITIVE_INFINITY));
    await Promise.race([written, clock.sleep(this.#settings.stop)]);
    this.#stopped = true;
    const calls = this.#buffer.length + (this.#loss?.calls ?? 0);
    if (calls > 0) log.error('calls were not recorded: the database did not take them before the stop', { calls });
  }

  #record(call: CallBeginning, end: CallEnd, occurred_at: number, duration_ms: number): CallRecord {
    const { replica_id, record_arguments } = this.#deps;
    return {
      id: this.#idOf(occurred_at),
      occurred_at,
      key: call.key,
      actor: storableText(call.actor),
      method: storableText(call.method),
      tool: call.tool === undefined ? null : storableText(call.tool),
      operation: call.operation === undefined ? null : storableText(call.operation),
      outcome: end.outcome,
      duration_ms: Math.round(duration_ms * 1_000) / 1_000,
      request_bytes: call.request_bytes ?? null,
      response_bytes: end.response_bytes ?? null,
      era: call.era,
      arguments: record_arguments && call.arguments !== undefined ? storableArguments(call.arguments) : null,
      replica_id,
    };
  }

  #idOf(at: number): string {
    if (this.#chance.length < ID_BYTES) this.#chance = this.#deps.random.bytes(ID_BYTES * IDS_PER_DRAW);
    const id = timeOrderedId(at, this.#chance);
    this.#chance = this.#chance.subarray(ID_BYTES);
    return id;
  }

  #add(record: CallRecord): void {
    if (this.#stopped) {
      this.#lose(1, record.occurred_at);
      this.#deps.log.error('a call was not recorded: it ended after the stop', { call: connectionLabel(record.key) });
      return;
    }
    if (this.#buffer.length >= this.#settings.capacity) {
      const waiting = this.#buffer.length;
      if (!this.#loss) this.#deps.log.warn('calls are not recorded: too many wait for the database', { waiting });
      this.#lose(1, record.occurred_at);
      return;
    }
    this.#buffer.push(record);
    if (this.#buffer.length >= this.#settings.batch && this.#failures === 0) this.#wake.abort();
  }

  #lose(calls: number, at: number): void {
    const { metrics, replica_id } = this.#deps;
    metrics.callsLost(calls);
    if (this.#loss) {
      this.#loss = { ...this.#loss, calls: this.#loss.calls + calls, until: at };
      return;
    }
    this.#loss = { id: this.#idOf(at), since: at, until: at, calls, replica_id };
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      const full = this.#buffer.length >= this.#settings.batch && this.#failures === 0;
      // Woken by the stop, too. A signal of both would stay in the memory of the one that lasts, one a second.
      if (!full) await clock.sleep(this.#pause(), this.#wake.signal);
      if (!this.#stopping.signal.aborted) await this.#flush(this.#buffer.length);
    }
  }

  #pause(): number {
    const { interval, retry_max } = this.#settings;
    return Math.min(interval * 2 ** this.#failures, retry_max);
  }

  /**
   * @param most as a rule what was there at the beginning: what comes meanwhile fills the next batch. Written at once it
   * would make another, of a few records and as dear to the database as a full one, and so without end.
   */
  async #flush(most: number): Promise<void> {
    for (let left = most; this.#loss || (left > 0 && this.#buffer.length > 0); ) {
      const done = await this.#writeSome();
      if (done === 'away') return;
      left -= done;
    }
  }

  /** @returns how many records are done with; `away`: the database is, so that it is not worth going on. */
  async #writeSome(): Promise<number | 'away'> {
    const { store, log } = this.#deps;
    const records = this.#buffer.slice(0, this.#batch);
    const loss = this.#loss;
    try {
      await store.append(records, loss ? [loss] : []);
    } catch (error) {
      if (outcomeOfError(toAppError(error).code) !== 'internal') return this.#away(error);
      return this.#refused(records, error);
    }
    this.#buffer.splice(0, records.length);
    if (loss) this.#settled(loss);
    if (this.#failures > 0) log.info('calls are recorded again', { waiting: this.#buffer.length });
    this.#failures = 0;
    this.#batch = Math.min(this.#batch * 2, this.#settings.batch);
    return records.length;
  }

  /** What was lost while the count was on its way is another count. */
  #settled(written: CallLoss): void {
    const { log } = this.#deps;
    const { since, until, calls } = written;
    log.warn('calls were not recorded', {
      calls,
      since: new Date(since).toISOString(),
      until: new Date(until).toISOString(),
    });
    const now = this.#loss;
    const more = (now?.calls ?? 0) - calls;
    this.#loss = now && more > 0 ? { ...now, id: this.#idOf(until), since: until, calls: more } : null;
  }

  #away(error: unknown): 'away' {
    this.#failures += 1;
    if (this.#failures === 1) {
      this.#deps.log.warn('calls wait to be recorded: the database does not answer', {
        waiting: this.#buffer.length,
        error,
      });
    }
    return 'away';
  }

  /** A record that the database will never take must not keep the others from it. */
  #refused(records: readonly CallRecord[], error: unknown): number | 'away' {
    const [first, second] = records;
    if (second) {
      this.#batch = Math.ceil(records.length / 2);
      return 0;
    }
    if (!first) return this.#away(error);
    this.#buffer.shift();
    this.#deps.log.error('the record of a call was refused by the database', {
      call: connectionLabel(first.key),
      error,
    });
    this.#lose(1, first.occurred_at);
    return 1;
  }
}

/** Keeps a record of every call: in memory first, so that no call waits for it, and in batches in the database. */
export function createCallRecords(deps: CallRecordsDeps): CallRecords {
  return new BufferedCallRecords(deps);
}

/** The upstream's own error is the upstream's; everything else is ours or on the way. */
export function outcomeOfThrown(error: unknown): CallOutcome {
  return error instanceof RpcError ? 'upstream_error' : outcomeOfError(toAppError(error).code);
}

/**
 * A call whose answer is a promise, recorded however it ends.
 * @param judge what the answer was; a thrown error is told by its code, and as cancelled where the signal has aborted
 */
export async function recorded<T>(
  recorder: CallRecorder,
  call: CallBeginning,
  signal: AbortSignal,
  run: () => Promise<T>,
  judge: (result: T) => CallEnd,
): Promise<T> {
  const end = recorder.begin(call);
  try {
    const result = await run();
    end(judge(result));
    return result;
  } catch (error) {
    end({ outcome: signal.aborted ? 'cancelled' : outcomeOfThrown(error) });
    throw error;
  }
}
