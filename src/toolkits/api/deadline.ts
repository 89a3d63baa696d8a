import type { Clock } from '../../core/ports.ts';

export type Deadline = {
  /** Aborts with the caller's reason, or with a TimeoutError. */
  signal: AbortSignal;
  timedOut(): boolean;
  /** Begins the time anew: something moved. */
  extend(): void;
  /** The time no longer counts; the caller's leaving still does. */
  lift(): void;
  /** Ends the watch; the signal no longer aborts. */
  release(): void;
};

type Watched = { at: number; late: boolean; controller: AbortController };

/** An abort without a reason makes a DOMException with its stack, which costs more than the rest of it. */
const WOKEN = new Error('woken');

/**
 * The limits of the calls of one connection, which end with their work: `AbortSignal.timeout` would keep its timer for a
 * minute after a call of a millisecond. One sleeper waits for whichever is the next to be over, so that a call sets no
 * timer of its own.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #watched = new Set<Watched>();
  #sleep: { until: number; woken: AbortController } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(ms: number, parent: AbortSignal): Deadline {
    const controller = new AbortController();
    const one: Watched = { at: this.#clock.monotonic() + ms, late: false, controller };
    const leave = () => controller.abort(parent.reason);
    if (parent.aborted) leave();
    parent.addEventListener('abort', leave, { once: true });
    this.#watched.add(one);
    this.#watch(one.at);
    return {
      signal: controller.signal,
      timedOut: () => one.late,
      extend: () => {
        one.at = this.#clock.monotonic() + ms;
      },
      lift: () => this.#watched.delete(one),
      release: () => {
        this.#watched.delete(one);
        parent.removeEventListener('abort', leave);
      },
    };
  }

  #watch(at: number): void {
    if (this.#sleep && this.#sleep.until <= at) return;
    this.#sleep?.woken.abort(WOKEN);
    const sleep = { until: at, woken: new AbortController() };
    this.#sleep = sleep;
    const ms = Math.max(0, at - this.#clock.monotonic());
    void this.#clock.sleep(ms, sleep.woken.signal).then(() => {
      if (this.#sleep === sleep) this.#look();
    });
  }

  #look(): void {
    this.#sleep = undefined;
    const now = this.#clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const one of [...this.#watched]) {
      if (one.at > now) {
        next = Math.min(next, one.at);
        continue;
      }
      this.#watched.delete(one);
      one.late = true;
      one.controller.abort(new DOMException('The time for this call is over.', 'TimeoutError'));
    }
    if (this.#watched.size > 0) this.#watch(next);
  }
}
