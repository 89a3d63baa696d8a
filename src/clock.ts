import { randomBytes, randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Clock, Random } from './core/ports.ts';

/** The longest delay of a Node timer; a longer one would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** The only place that reads the machine's clock and sets its timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
      timer.unref();
      signal?.addEventListener('abort', done, { once: true });
    }),
  timeout: (ms) => {
    const signal = AbortSignal.timeout(Math.min(ms, MAX_TIMER_MS));
    // Every caller of one deadline listens to it. Not 0, «no limit»: undici takes that for an invalid argument.
    setMaxListeners(10_000, signal);
    return signal;
  },
};

/** Sleeping alone does not keep a process alive; a process that does nothing else calls this, and the result to end it. */
export function keepProcessAlive(): () => void {
  const timer = setInterval(() => {}, MAX_TIMER_MS);
  return () => clearInterval(timer);
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
  fraction: () => randomBytes(4).readUInt32BE() / 2 ** 32,
};
