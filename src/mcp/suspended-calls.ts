import type { Clock, Random, ToolkitClient } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { ToolCallOutcome } from '../flows/tool-call.ts';
import { type Exchange, missingCapability, tell, tellProgress } from './exchange.ts';

type Params = Record<string, unknown>;
type Ask = { method: string; params: Params; resolve(answer: Params): void; reject(error: Error): void };

export type SuspensionSettings = {
  /** How many calls may wait for their client's answer at once: of one principal, and in all. */
  most_per_principal: number;
  most: number;
  /** How long one waits before it is given up. */
  patience: number;
};

export const DEFAULT_SUSPENSION: SuspensionSettings = { most_per_principal: 50, most: 1_000, patience: 10 * 60_000 };

/** What a round of a call ended with: the upstream's outcome, or questions to the client. */
export type Round = { done: ToolCallOutcome } | { asked: Params; call: string; round: number };

/** Fields that concern one hop: whoever asks and how it wants to be told of progress. */
function forModern(params: Params): Params {
  const { elicitationId: _id, _meta, ...asked } = params;
  return asked;
}

/**
 * A call of a modern client to an upstream that asks in the midst of it. The upstream's call stays open here, while
 * the client is answered with what it is asked, and comes back with another request that carries the answers.
 */
export class OpenCall {
  readonly id: string;
  readonly actor: string;
  readonly client: ToolkitClient;
  readonly #abort = new AbortController();
  readonly #asks = new Map<string, Ask>();
  readonly #may: (call: OpenCall) => boolean;
  #exchange: Exchange | undefined;
  #unfollow: () => void = () => undefined;
  #outcome: Promise<ToolCallOutcome> | undefined;
  #wake: () => void = () => undefined;
  #asked = 0;
  round = 0;

  constructor(id: string, exchange: Exchange, may: (call: OpenCall) => boolean) {
    this.id = id;
    this.actor = exchange.viewer.principal.actor;
    this.#may = may;
    const { capabilities, log_level } = exchange;
    this.client = {
      capabilities,
      ...(log_level === undefined ? {} : { log_level }),
      ask: (method, params, signal) => this.#ask(capabilities, method, params, signal),
      notify: (method, params) => this.#exchange && tell(this.#exchange, method, params),
    };
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether a question of its upstream is not answered yet. */
  get waits(): boolean {
    return this.#asks.size > 0;
  }

  progress(progress: { progress: number; total?: number; message?: string }): void {
    if (this.#exchange) tellProgress(this.#exchange, progress);
  }

  begin(outcome: Promise<ToolCallOutcome>): void {
    this.#outcome = outcome;
  }

  /** Gives the client's answers to whoever asked; a question that it left out is asked again. */
  answer(responses: Params): void {
    for (const [id, answer] of Object.entries(responses)) {
      const ask = this.#asks.get(id);
      if (!ask || typeof answer !== 'object' || answer === null) continue;
      this.#asks.delete(id);
      ask.resolve(answer as Params);
    }
  }

  /** Runs until the upstream has answered or asks. The client's leaving meanwhile is a cancellation. */
  async next(exchange: Exchange): Promise<Round> {
    this.round += 1;
    this.#attach(exchange);
    try {
      const outcome = this.#outcome as Promise<ToolCallOutcome>;
      const done = outcome.then((ended) => ({ done: ended }));
      for (;;) {
        if (this.#asks.size > 0) return { asked: this.#questions(), call: this.id, round: this.round };
        const asked = new Promise<undefined>((resolve) => {
          this.#wake = () => resolve(undefined);
        });
        const first = await Promise.race([done, asked]);
        if (first) return first;
      }
    } finally {
      this.#detach();
    }
  }

  abandon(): void {
    this.#abort.abort();
    for (const ask of this.#asks.values()) ask.reject(new RpcError(-32603, 'The client did not answer in time.'));
    this.#asks.clear();
  }

  #questions(): Params {
    return Object.fromEntries(
      [...this.#asks].map(([id, { method, params }]) => {
        const asked = forModern(params);
        return [id, method === 'roots/list' ? { method } : { method, params: asked }];
      }),
    );
  }

  #attach(exchange: Exchange): void {
    const leave = () => this.abandon();
    this.#exchange = exchange;
    if (exchange.signal.aborted) leave();
    exchange.signal.addEventListener('abort', leave, { once: true });
    this.#unfollow = () => exchange.signal.removeEventListener('abort', leave);
  }

  #detach(): void {
    this.#unfollow();
    this.#exchange = undefined;
  }

  #ask(capabilities: Params, method: string, params: Params, signal: AbortSignal): Promise<Params> {
    if (missingCapability(capabilities, method, params)) {
      return Promise.reject(new RpcError(-32601, `The client does not support ${method}.`));
    }
    if (this.signal.aborted) return Promise.reject(new RpcError(-32603, 'The call was cancelled.'));
    if (!this.#may(this))
      return Promise.reject(new RpcError(-32603, 'Too many calls wait for answers. Try again later.'));
    this.#asked += 1;
    const id = `${method}-${this.#asked}`;
    return new Promise((resolve, reject) => {
      this.#asks.set(id, { method, params, resolve, reject });
      signal.addEventListener(
        'abort',
        () => {
          if (this.#asks.delete(id)) reject(new RpcError(-32603, 'The upstream no longer wants an answer.'));
        },
        { once: true },
      );
      this.#wake();
    });
  }
}

/** The calls that wait for their client's answers, on this replica alone. */
export class SuspendedCalls {
  readonly #calls = new Map<string, { call: OpenCall; taken: AbortController }>();
  /** Those that count: from their first question on, before their client has been told of it. */
  readonly #waiting = new Set<OpenCall>();
  readonly #deps: { clock: Clock; random: Random; settings: SuspensionSettings };

  constructor(deps: { clock: Clock; random: Random; settings: SuspensionSettings }) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#calls.size;
  }

  open(exchange: Exchange): OpenCall {
    return new OpenCall(this.#deps.random.uuid(), exchange, (call) => this.#hasRoom(call));
  }

  suspend(call: OpenCall): void {
    const taken = new AbortController();
    this.#calls.set(call.id, { call, taken });
    const { clock, settings } = this.#deps;
    void clock.sleep(settings.patience, taken.signal).then(() => {
      if (taken.signal.aborted) return;
      this.#calls.delete(call.id);
      call.abandon();
    });
  }

  /** The call, if it waits in this very round; it is taken once. */
  take(id: string, round: number): OpenCall | undefined {
    const held = this.#calls.get(id);
    if (held?.call.round !== round) return undefined;
    this.#calls.delete(id);
    held.taken.abort();
    return held.call;
  }

  close(): void {
    for (const { call, taken } of this.#calls.values()) {
      taken.abort();
      call.abandon();
    }
    this.#calls.clear();
  }

  #hasRoom(call: OpenCall): boolean {
    for (const one of this.#waiting) if (!one.waits && !this.#calls.has(one.id)) this.#waiting.delete(one);
    if (this.#waiting.has(call)) return true;
    const { most, most_per_principal } = this.#deps.settings;
    const own = [...this.#waiting].filter(({ actor }) => actor === call.actor).length;
    if (this.#waiting.size >= most || own >= most_per_principal) return false;
    this.#waiting.add(call);
    return true;
  }
}
