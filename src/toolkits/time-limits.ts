import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/ports.ts';

/** Something that may last too long. */
export interface Limited {
  /** When its time is over, on the monotonic clock. While it is watched that moves away only, never nearer. */
  due(now: number): number;
  /** Its time is over; it is not watched any more. */
  late(): void;
}

/**
 * The limits of the calls of one connection. One sleeper waits for whichever is the next to be over, so that a call sets
 * no timer of its own: `AbortSignal.timeout` would keep one for a minute after a call of a millisecond.
 */
export class TimeLimits {
  readonly #clock: Clock;
  readonly #watched = new Set<Limited>();
  #sleep: { until: number; woken: Cancellation } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  watch(one: Limited): void {
    this.#watched.add(one);
    this.#sleepUntil(one.due(this.#clock.monotonic()));
  }

  forget(one: Limited): void {
    this.#watched.delete(one);
  }

  #sleepUntil(at: number): void {
    if (this.#sleep && this.#sleep.until <= at) return;
    this.#sleep?.woken.abort();
    const sleep = { until: at, woken: new Cancellation() };
    this.#sleep = sleep;
    const ms = Math.max(0, at - this.#clock.monotonic());
    void this.#clock.sleep(ms, sleep.woken).then(() => {
      if (this.#sleep === sleep) this.#look();
    });
  }

  #look(): void {
    this.#sleep = undefined;
    const now = this.#clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const one of [...this.#watched]) {
      const due = one.due(now);
      if (due > now) {
        next = Math.min(next, due);
        continue;
      }
      this.#watched.delete(one);
      one.late();
    }
    if (this.#watched.size > 0) this.#sleepUntil(next);
  }
}
