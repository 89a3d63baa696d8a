import type { AbortLike } from '../../core/cancellation.ts';
import { Cancellation } from '../../core/cancellation.ts';
import type { Clock } from '../../core/ports.ts';
import { type Limited, TimeLimits } from '../time-limits.ts';

export type Deadline = {
  /** Aborts with the caller's reason, or with a TimeoutError. */
  signal: AbortLike;
  timedOut(): boolean;
  /** Begins the time anew: something moved. */
  extend(): void;
  /** The time no longer counts; the caller's leaving still does. */
  lift(): void;
  /** Ends the watch; the signal no longer aborts. */
  release(): void;
};

/** The limits of the calls of one connection, which end with their work. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #limits: TimeLimits;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#limits = new TimeLimits(clock);
  }

  begin(ms: number, parent: AbortLike): Deadline {
    const signal = new Cancellation();
    let at = this.#clock.monotonic() + ms;
    let late = false;
    const one: Limited = {
      due: () => at,
      late: () => {
        late = true;
        signal.abort(new DOMException('The time for this call is over.', 'TimeoutError'));
      },
    };
    const leave = () => signal.abort(parent.reason);
    if (parent.aborted) leave();
    parent.addEventListener('abort', leave, { once: true });
    this.#limits.watch(one);
    return {
      signal,
      timedOut: () => late,
      extend: () => {
        at = this.#clock.monotonic() + ms;
      },
      lift: () => this.#limits.forget(one),
      release: () => {
        this.#limits.forget(one);
        parent.removeEventListener('abort', leave);
      },
    };
  }
}
