import type { Clock } from '../../core/ports.ts';

export type Deadline = {
  /** Aborts with the caller's reason, or with a TimeoutError. */
  signal: AbortSignal;
  timedOut(): boolean;
  /** Begins the time anew: something moved. */
  extend(): void;
  /** Ends the watch; the signal no longer aborts. */
  release(): void;
};

/** A limit that ends with its work: `AbortSignal.timeout` would keep its timer for a minute after a call of a millisecond. */
export function createDeadline(clock: Clock, ms: number, parent: AbortSignal): Deadline {
  const controller = new AbortController();
  const ended = new AbortController();
  let from = clock.monotonic();
  let late = false;
  const leave = () => controller.abort(parent.reason);
  if (parent.aborted) leave();
  parent.addEventListener('abort', leave, { once: true });
  const watch = async () => {
    for (let left = ms; left > 0 && !ended.signal.aborted; left = from + ms - clock.monotonic()) {
      await clock.sleep(left, ended.signal);
    }
    if (ended.signal.aborted) return;
    late = true;
    controller.abort(new DOMException('The time for this call is over.', 'TimeoutError'));
  };
  void watch();
  return {
    signal: controller.signal,
    timedOut: () => late,
    extend: () => {
      from = clock.monotonic();
    },
    release: () => {
      ended.abort();
      parent.removeEventListener('abort', leave);
    },
  };
}
