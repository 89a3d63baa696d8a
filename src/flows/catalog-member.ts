import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { toAppError } from '../core/errors.ts';
import type { Clock, Connection, ListKind, Log, Random, ToolkitConnection, UpstreamCatalog } from '../core/ports.ts';
import type { Instant } from '../core/token-set.ts';
import { changedLists } from '../core/upstream-catalog.ts';
import { readUpstream } from './catalog-listing.ts';
import { countedUpstream } from './counted-upstream.ts';
import type { ToolChanges } from './tool-changes.ts';

export const MEMBER_STATES = ['ok', 'unavailable', 'needs_person'] as const;
export type MemberState = (typeof MEMBER_STATES)[number];

export type MemberSettings = {
  /** How often each upstream's lists are read without any hint of a change. */
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
  /** Lists that clients see changed; none of them: the state alone. `listed`: this process has read them. */
  changed(member: CatalogMember, lists: readonly ListKind[], listed: boolean): void;
  drifted: ToolChanges;
  /** A listing asks the upstream. Where it does not, it tells nothing about how the upstream is: calls alone do. */
  asks: boolean;
};

type Failure = { code: ErrorCode; message: string };

export type MemberStatus = {
  state: MemberState;
  tools: number;
  prompts: number;
  resources: number;
  listed_at: Instant | null;
  /** Why the last listing or call failed; null while all is well. */
  error: Failure | null;
  /** On this replica, since it started: the last listing or call that the upstream answered, and the last failure. */
  last_success_at: Instant | null;
  last_error: (Failure & { at: Instant }) | null;
};

const LISTER = { actor: 'system:tool-list' };
/** A burst of hints is one listing; an upstream that hints again after each listing is read less and less often. */
const SETTLE_MS = { first: 50, longest: 10_000, restless: 5_000, patient: 4 };

/** One connection in the catalog: its open toolkit connection, what it is known to offer, and the loop that reads it. */
export class CatalogMember {
  readonly key: ConnectionKey;
  readonly connection: Connection;
  readonly upstream: ToolkitConnection;
  readonly #deps: MemberDeps;
  readonly #idle: () => Promise<void>;
  readonly #closed = new AbortController();
  #ended: Promise<void> | undefined;
  #wake = new AbortController();
  #wanted = new Set<ListKind>();
  #everything = true;
  #known: UpstreamCatalog;
  #listed_at: Instant | null;
  #state: MemberState = 'ok';
  #error: AppError | null = null;
  #last_success_at: Instant | null = null;
  #last_error: MemberStatus['last_error'] = null;
  #failures = 0;
  /** Listings in a row that were followed by a hint soon. */
  #hinted = 0;

  constructor(connection: Connection, upstream: ToolkitConnection, known: UpstreamCatalog, deps: MemberDeps) {
    this.key = connection.key;
    this.connection = connection;
    const counted = countedUpstream(upstream);
    this.upstream = counted.upstream;
    this.#idle = counted.idle;
    this.#deps = deps;
    this.#known = known;
    this.#listed_at = known.listed_at;
    upstream.onChange((kind) => this.refresh(kind));
    void this.#run();
  }

  /** The same object for as long as nothing that clients see has changed; only its `listed_at` may be an older one. */
  get knowledge(): UpstreamCatalog {
    return this.#known;
  }

  get listed_at(): Instant | null {
    return this.#listed_at;
  }

  get state(): MemberState {
    return this.#state;
  }

  get error(): AppError | null {
    return this.#error;
  }

  get status(): MemberStatus {
    const { tools, prompts, resources, resource_templates } = this.#known;
    return {
      state: this.#state,
      tools: tools.length,
      prompts: prompts.length,
      resources: resources.length + resource_templates.length,
      listed_at: this.#listed_at,
      error: this.#error && { code: this.#error.code, message: this.#error.message },
      last_success_at: this.#last_success_at,
      last_error: this.#last_error,
    };
  }

  /** Reads one list, or everything, soon; many calls are one listing. */
  refresh(kind?: ListKind): void {
    if (kind) this.#wanted.add(kind);
    else this.#everything = true;
    this.#wake.abort();
  }

  /** What a call or a listing ended with tells the state; an error of the conversation is an answer. */
  note(error: AppError | null): void {
    const now = this.#deps.clock.now();
    if (error === null) this.#last_success_at = now;
    else this.#last_error = { code: error.code, message: error.message, at: now };
    const state = error === null ? 'ok' : error.code === 'needs_person' ? 'needs_person' : 'unavailable';
    this.#become(state, error);
  }

  /** The connection's token changed: what needed a person is asked again, by a listing or else by the next call. */
  renewed(): void {
    if (!this.#deps.asks && this.#state === 'needs_person') this.#become('ok', null);
    if (this.#state !== 'ok' || this.#listed_at === null) this.refresh();
  }

  #become(state: MemberState, error: AppError | null): void {
    this.#error = error;
    if (state === this.#state) return;
    this.#state = state;
    this.#deps.changed(this, [], false);
  }

  /** What another replica has read meanwhile. */
  adopt(known: UpstreamCatalog): void {
    if (known.listed_at !== null && known.listed_at > (this.#listed_at ?? 0)) this.#learn(known, false);
  }

  /** At once, also while it retires. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#ended ??= this.upstream.close();
    await this.#ended;
  }

  /**
   * Another takes its place: closes once the calls under way are through, which an edit shall not cost.
   * @param replaced resolves when no further call finds its way here
   */
  async retire(replaced: Promise<void>): Promise<void> {
    this.#closed.abort();
    await replaced;
    await this.#idle();
    await this.close();
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const only = this.#everything ? undefined : new Set(this.#wanted);
      this.#everything = false;
      this.#wanted.clear();
      await this.#deps.limited(() => this.#list(only));
      const listed = clock.monotonic();
      const woken = AbortSignal.any([this.#wake.signal, signal]);
      await clock.sleep(this.#pause(), woken);
      if (this.#wake.signal.aborted) await clock.sleep(this.#settle(clock.monotonic() - listed), signal);
      else this.#everything = true;
    }
  }

  #settle(quiet: number): number {
    this.#hinted = quiet < SETTLE_MS.restless ? this.#hinted + 1 : 0;
    const doublings = Math.max(0, this.#hinted - SETTLE_MS.patient);
    return Math.min(SETTLE_MS.first * 2 ** doublings, SETTLE_MS.longest);
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

  async #list(only: ReadonlySet<ListKind> | undefined): Promise<void> {
    const { clock, log, settings } = this.#deps;
    if (this.#closed.signal.aborted) return;
    const signal = AbortSignal.any([this.#closed.signal, clock.timeout(settings.list_timeout)]);
    const connection = connectionLabel(this.key);
    try {
      const call = { signal, principal: LISTER };
      const listed = await readUpstream(this.upstream, this.#known, only, { call, log, connection });
      if (this.#closed.signal.aborted) return;
      this.#failures = 0;
      this.#learn({ ...listed, listed_at: clock.now() }, true);
      if (this.#deps.asks) this.note(null);
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#failures += 1;
      const failure = toAppError(error);
      if (failure.code === 'needs_person') {
        log.info('the tools of a connection are not listed: it is not connected yet', { connection });
      } else if (this.#failures === 1) {
        log.warn('the tools of a connection cannot be listed; its last known ones are kept', { connection, error });
      }
      this.note(failure);
    }
  }

  #learn(known: UpstreamCatalog, listed: boolean): void {
    const before = this.#known;
    const first = this.#listed_at === null;
    this.#listed_at = known.listed_at;
    const lists = changedLists(before, known);
    if (!first && lists.length === 0 && JSON.stringify(before.about) === JSON.stringify(known.about)) return;
    this.#known = known;
    if (listed && !first && lists.includes('tools')) this.#deps.drifted(this.key, before.tools, known.tools);
    this.#deps.changed(this, lists, listed);
  }
}
