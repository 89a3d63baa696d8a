import { setImmediate as turn } from 'node:timers/promises';
import { seededRandom } from '../support/ports.ts';

export type Dice = {
  fraction(): number;
  chance(probability: number): boolean;
  between(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
};

export function createDice(seed: number): Dice {
  const random = seededRandom(seed);
  const fraction = () => random.fraction();
  return {
    fraction,
    chance: (probability) => fraction() < probability,
    between: (low, high) => low + (high - low) * fraction(),
    pick<T>(list: readonly T[]): T {
      if (list.length === 0) throw new Error('there is nothing to pick from');
      return list[Math.floor(fraction() * list.length)] as T;
    },
  };
}

export type Task = { due: number; order: number; label: string; run(): void; cancelled: boolean };

export type Scheduler = {
  /** Milliseconds of true time since the beginning. */
  readonly now: number;
  readonly steps: number;
  /** After `delay`; of two tasks the earlier one runs first, of two at once the one that was asked for first. */
  after(delay: number, label: string, run: () => void): Task;
  /** Runs the next task and everything that follows from it at once; false: there is none. */
  step(): Promise<boolean>;
};

/** Runs everything that is asked of it in one order, which hangs on nothing but the delays that were drawn. */
export function createScheduler(passed: (ms: number) => void, before: (task: Task) => void): Scheduler {
  const tasks: Task[] = [];
  let now = 0;
  let order = 0;
  let steps = 0;

  /** A binary heap would win nothing: there are never more than some dozens. */
  function next(): Task | undefined {
    let first: Task | undefined;
    let at = -1;
    for (let index = tasks.length - 1; index >= 0; index -= 1) {
      const task = tasks[index];
      if (!task || task.cancelled) {
        tasks.splice(index, 1);
        at -= index < at ? 1 : 0;
      } else if (!first || task.due < first.due || (task.due === first.due && task.order < first.order)) {
        first = task;
        at = index;
      }
    }
    if (first) tasks.splice(at, 1);
    return first;
  }

  return {
    get now() {
      return now;
    },
    get steps() {
      return steps;
    },
    after(delay, label, run) {
      order += 1;
      const task: Task = { due: now + Math.max(delay, 0), order, label, run, cancelled: false };
      tasks.push(task);
      return task;
    },
    async step() {
      const task = next();
      if (!task) return false;
      if (task.due > now) {
        passed(task.due - now);
        now = task.due;
      }
      steps += 1;
      before(task);
      task.run();
      // Every promise that can go on does, before the next task: a turn of the event loop empties their queue.
      await turn();
      return true;
    },
  };
}
