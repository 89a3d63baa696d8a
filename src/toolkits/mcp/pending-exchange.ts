import type { ToolkitCall } from '../../core/ports.ts';

/** Said once: an abort without a reason makes an exception with a stack, for each call. */
const OVER = new Error('the request is over');

/** A request of ours that the upstream has not answered yet. */
export class Exchange {
  readonly call: ToolkitCall;
  /** Aborts once there is an outcome: ends the timer. */
  readonly over = new AbortController();
  /** Aborts when nobody waits any more: ends the request. */
  readonly given_up = new AbortController();
  readonly outcome: Promise<Record<string, unknown>>;
  asks = 0;
  active: number;
  #settle!: { resolve(result: Record<string, unknown>): void; reject(error: unknown): void };

  constructor(call: ToolkitCall, now: number) {
    this.call = call;
    this.active = now;
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  succeed(result: Record<string, unknown>): void {
    this.#settle.resolve(result);
    this.over.abort(OVER);
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
    this.over.abort(OVER);
  }
}

/** Aborts once the last of them has its outcome. */
export function allOver(exchanges: readonly Exchange[]): AbortSignal {
  const over = new AbortController();
  let left = exchanges.length;
  const ended = () => {
    left -= 1;
    if (left === 0) over.abort();
  };
  for (const { over: one } of exchanges) one.signal.addEventListener('abort', ended, { once: true });
  return over.signal;
}
