import type { Clock } from '../../src/core/ports.ts';

/** Stands still until it is stepped on; who sleeps wakes when its time has come. */
export class SteppedClock implements Clock {
  #now = 1_000_000;
  readonly #sleepers = new Set<{ at: number; wake: () => void }>();

  now = (): number => this.#now;
  monotonic = (): number => this.#now;

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { at: this.#now + ms, wake: () => resolve() };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        resolve();
      });
    });

  timeout = (): AbortSignal => new AbortController().signal;

  /** How long the sleepers still sleep. */
  get pauses(): number[] {
    return [...this.#sleepers].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  step(ms: number): void {
    this.#now += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.at > this.#now) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}
