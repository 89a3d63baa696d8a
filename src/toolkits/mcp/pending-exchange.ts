import { Cancellation } from '../../core/cancellation.ts';
import type { ToolkitCall } from '../../core/ports.ts';
import type { Limited } from '../time-limits.ts';

/** Progress and questions to a person prolong a call, but not for ever. */
const LONGEST_CALL_MS = 3_600_000;

type ExchangeOptions = {
  call: ToolkitCall;
  /** By the monotonic clock. */
  now: number;
  /** How long the upstream may be silent. */
  timeout: number;
  late(): void;
  /** Its answer is a list, whose entries are examined one by one: one that is too deep costs no other. */
  list: boolean;
};

/** A request of ours that the upstream has not answered yet. */
export class Exchange implements Limited {
  readonly call: ToolkitCall;
  /** Aborts once there is an outcome. */
  readonly over = new Cancellation();
  /** Aborts when nobody waits any more: ends the request. */
  readonly given_up = new Cancellation();
  readonly outcome: Promise<Record<string, unknown>>;
  readonly late: () => void;
  readonly list: boolean;
  readonly #timeout: number;
  readonly #end: number;
  #active: number;
  #asks = 0;
  #settle!: { resolve(result: Record<string, unknown>): void; reject(error: unknown): void };

  constructor({ call, now, timeout, late, list }: ExchangeOptions) {
    this.call = call;
    this.late = late;
    this.list = list;
    this.#active = now;
    this.#timeout = timeout;
    this.#end = now + Math.max(timeout, LONGEST_CALL_MS);
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  due(now: number): number {
    return Math.min((this.#asks > 0 ? now : this.#active) + this.#timeout, this.#end);
  }

  /** The upstream has told something of it. */
  moved(now: number): void {
    this.#active = now;
  }

  /** The client is being asked: that is not the upstream's silence. */
  asked(): void {
    this.#asks += 1;
  }

  answered(now: number): void {
    this.#asks -= 1;
    this.#active = now;
  }

  succeed(result: Record<string, unknown>): void {
    this.#settle.resolve(result);
    this.over.abort();
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
    this.over.abort();
  }
}

/** Aborts once the last of them has its outcome, or at once when the question itself is `cancelled`. */
export function untilAllOver(exchanges: readonly Exchange[], cancelled: AbortSignal): AbortSignal {
  const over = new AbortController();
  let left = exchanges.length;
  const ended = () => {
    left -= 1;
    if (left === 0) over.abort();
  };
  for (const exchange of exchanges) exchange.over.addEventListener('abort', ended);
  return AbortSignal.any([cancelled, over.signal]);
}
