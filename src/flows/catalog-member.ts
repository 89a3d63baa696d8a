import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { AppError } from '../core/errors.ts';
import { toAppError } from '../core/errors.ts';
import type { Clock, Connection, Log, Random, ToolkitConnection, UpstreamTool } from '../core/ports.ts';
import type { Instant } from '../core/token-set.ts';

export type MemberState = 'ok' | 'unavailable' | 'needs_person';

export type MemberSettings = {
  /** How often each upstream's tools are read without any hint of a change. */
  list_interval: number;
  /** First and longest pause after a listing that failed. */
  retry_min: number;
  retry_max: number;
  /** How long one listing may take, all pages together. */
  list_timeout: number;
};

export const DEFAULT_MEMBER_SETTINGS: MemberSettings = {
  list_interval: 300_000,
  retry_min: 5_000,
  retry_max: 300_000,
  list_timeout: 60_000,
};

export type MemberDeps = {
  settings: MemberSettings;
  clock: Clock;
  random: Random;
  log: Log;
  /** Bounds how many listings run at once. */
  limited<T>(work: () => Promise<T>): Promise<T>;
  /** Something that clients can see changed: tools, or state. */
  changed(member: CatalogMember, what: 'tools' | 'state'): void;
};

export type MemberStatus = {
  state: MemberState;
  tools: number;
  listed_at: Instant | null;
  /** Why the last listing or call failed; null while all is well. */
  error: { code: string; message: string } | null;
};

const LISTER = { actor: 'system:tool-list' };
/** A burst of hints is one listing. */
const SETTLE_MS = 50;

/** One connection in the catalog: its open toolkit connection, its last known tools, and the loop that reads them. */
export class CatalogMember {
  readonly key: ConnectionKey;
  readonly connection: Connection;
  readonly upstream: ToolkitConnection;
  readonly #deps: MemberDeps;
  readonly #closed = new AbortController();
  #wake = new AbortController();
  #tools: UpstreamTool[];
  #fingerprint: string;
  #listed_at: Instant | null;
  #state: MemberState = 'ok';
  #error: AppError | null = null;
  #failures = 0;

  constructor(
    connection: Connection,
    upstream: ToolkitConnection,
    known: { tools: UpstreamTool[]; listed_at: Instant | null },
    deps: MemberDeps,
  ) {
    this.key = connection.key;
    this.connection = connection;
    this.upstream = upstream;
    this.#deps = deps;
    this.#tools = known.tools;
    this.#fingerprint = JSON.stringify(known.tools);
    this.#listed_at = known.listed_at;
    upstream.onChange(() => this.refresh());
    void this.#run();
  }

  get tools(): readonly UpstreamTool[] {
    return this.#tools;
  }

  get state(): MemberState {
    return this.#state;
  }

  get status(): MemberStatus {
    const error = this.#error ? { code: this.#error.code, message: this.#error.message } : null;
    return { state: this.#state, tools: this.#tools.length, listed_at: this.#listed_at, error };
  }

  get knowledge(): { tools: UpstreamTool[]; listed_at: Instant | null } {
    return { tools: this.#tools, listed_at: this.#listed_at };
  }

  /** Reads the tools soon; many calls are one listing. */
  refresh(): void {
    this.#wake.abort();
  }

  /** What a call or a listing ended with tells the state; an error of the conversation is an answer. */
  note(error: AppError | null): void {
    const state = error === null ? 'ok' : error.code === 'needs_person' ? 'needs_person' : 'unavailable';
    this.#error = error;
    if (state === this.#state) return;
    this.#state = state;
    this.#deps.changed(this, 'state');
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.upstream.close();
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      await this.#deps.limited(() => this.#list());
      const woken = AbortSignal.any([this.#wake.signal, signal]);
      await clock.sleep(this.#pause(), woken);
      if (this.#wake.signal.aborted) await clock.sleep(SETTLE_MS, signal);
    }
  }

  #pause(): number {
    const { settings, random } = this.#deps;
    // Without a person's help nothing changes: the notice of a new token wakes the loop.
    const failing = this.#failures > 0 && this.#state !== 'needs_person';
    const base = failing
      ? Math.min(settings.retry_min * 2 ** (this.#failures - 1), settings.retry_max)
      : settings.list_interval;
    return base * (0.8 + 0.4 * random.fraction());
  }

  async #list(): Promise<void> {
    const { clock, log, settings } = this.#deps;
    if (this.#closed.signal.aborted) return;
    const signal = AbortSignal.any([this.#closed.signal, clock.timeout(settings.list_timeout)]);
    try {
      const { tools } = await this.upstream.request('tools/list', {}, { signal, principal: LISTER });
      if (this.#closed.signal.aborted) return;
      this.#failures = 0;
      this.#learn(tools as UpstreamTool[]);
      this.note(null);
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#failures += 1;
      const failure = toAppError(error);
      const connection = connectionLabel(this.key);
      if (failure.code === 'needs_person') {
        log.info('the tools of a connection are not listed: it is not connected yet', { connection });
      } else if (this.#failures === 1) {
        log.warn('the tools of a connection cannot be listed; its last known ones are kept', { connection, error });
      }
      this.note(failure);
    }
  }

  #learn(tools: UpstreamTool[]): void {
    const fingerprint = JSON.stringify(tools);
    const first = this.#listed_at === null;
    this.#listed_at = this.#deps.clock.now();
    if (fingerprint === this.#fingerprint && !first) return;
    this.#tools = tools;
    this.#fingerprint = fingerprint;
    this.#deps.changed(this, 'tools');
  }
}
