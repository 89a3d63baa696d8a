import type { Log } from './core/ports.ts';

/** Runs last-in-first-out, each step even if an earlier one failed, so that a failed start leaves nothing behind. */
export class Teardown {
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.#log.warn('a part did not stop cleanly', { error });
      }
    }
  }
}
