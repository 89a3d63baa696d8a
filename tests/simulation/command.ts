import { parseArgs } from 'node:util';
import { EXCEPTIONS } from './ledger.ts';
import { FAULTS, type Fault, TASTES, type Taste, type Wanted } from './plan.ts';
import { type Outcome, play, playAll } from './schedule.ts';

const USAGE = `npm run simulate -- [options]
  --seeds N        how many schedules to play (default 1000)
  --first N        the first seed (default 1)
  --seed N         one schedule, with its trace
  --taste NAME     one of ${TASTES.join(', ')} (default: drawn from the seed)
  --faults A,B     exactly these of ${FAULTS.join(', ')} (default: drawn from the seed)`;

type Options = { seeds: number; first: number; one: number | null; wanted: Omit<Wanted, 'seed'> };

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} must be a number\n${USAGE}`);
  return value;
}

function oneOf<T extends string>(text: string, list: readonly T[], name: string): T {
  const found = list.find((one) => one === text);
  if (found === undefined) throw new TypeError(`--${name} knows no «${text}»\n${USAGE}`);
  return found;
}

export function readOptions(args: string[]): Options {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: { seeds: text, first: text, seed: text, taste: text, faults: text },
  });
  const taste: Taste | undefined = values.taste === undefined ? undefined : oneOf(values.taste, TASTES, 'taste');
  const faults: Fault[] | undefined = values.faults?.split(',').map((one) => oneOf(one, FAULTS, 'faults'));
  return {
    seeds: number(values.seeds ?? '1000', 'seeds'),
    first: number(values.first ?? '1', 'first'),
    one: values.seed === undefined ? null : number(values.seed, 'seed'),
    wanted: { taste, faults },
  };
}

/** How a failing schedule is played again by hand. */
export function again({ seed, taste, faults }: Wanted): string {
  return `npm run simulate -- --seed ${seed}${taste ? ` --taste ${taste}` : ''}${faults ? ` --faults ${faults.join(',')}` : ''}`;
}

/** What was violated, how to see it again, and every step that led there. */
export async function report(wanted: Wanted): Promise<string> {
  const { plan, violation, trace } = await play(wanted, true);
  const { seed, faults, budget: _budget, ...rest } = plan;
  const header = `seed ${seed}: ${violation ?? 'no violation'}\n${JSON.stringify(rest)}\nfaults: ${[...faults].join(', ')}`;
  return `${header}\n${trace.join('\n')}\n${header}\n${again(wanted)}`;
}

type Row = { schedules: number; steps: number; presentations: number; healthy: number; lost: Record<string, number> };

function count(rows: Map<string, Row>, { plan, steps, presentations, healthy, exceptions }: Outcome): void {
  const row = rows.get(plan.taste) ?? { schedules: 0, steps: 0, presentations: 0, healthy: 0, lost: {} };
  rows.set(plan.taste, row);
  row.schedules += 1;
  row.steps += steps;
  row.presentations += presentations;
  row.healthy += healthy;
  for (const [name, times] of Object.entries(exceptions)) row.lost[name] = (row.lost[name] ?? 0) + times;
}

function table(rows: Map<string, Row>): string {
  const lines = [['taste', 'schedules', 'steps', 'presentations', 'healthy', 'excused']];
  for (const [taste, row] of [...rows].sort()) {
    const excused = Object.values(row.lost).reduce((sum, times) => sum + times, 0);
    lines.push([taste, ...[row.schedules, row.steps, row.presentations, row.healthy, excused].map(String)]);
  }
  return lines
    .map((line) =>
      line
        .map((cell) => cell.padEnd(14))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

function excused(rows: Map<string, Row>): string {
  const lines = Object.entries(EXCEPTIONS).map(([name, why]) => {
    const times = [...rows.values()].reduce((sum, { lost }) => sum + (lost[name] ?? 0), 0);
    return `${String(times).padStart(7)}  ${name} (protocol ${why})`;
  });
  return `announced losses that nothing can prevent:\n${lines.join('\n')}`;
}

/** @returns the exit code: 0 when no schedule violated an invariant. */
export async function main(args: string[], print: (line: string) => void): Promise<number> {
  const { seeds, first, one, wanted } = readOptions(args);
  if (one !== null) {
    const text = await report({ ...wanted, seed: one });
    print(text);
    return text.includes('VIOLATION') ? 1 : 0;
  }
  const rows = new Map<string, Row>();
  const failed: Wanted[] = [];
  const began = performance.now();
  await playAll(wanted, first, seeds, (outcome) => {
    count(rows, outcome);
    const { seed, taste } = outcome.plan;
    if (outcome.violation === null) return;
    failed.push({ ...wanted, seed });
    print(`seed ${seed} (${taste}): ${outcome.violation}`);
  });
  const seconds = (performance.now() - began) / 1_000;
  print(table(rows));
  print(excused(rows));
  print(`${seeds} schedules in ${seconds.toFixed(1)} s, ${(seeds / seconds).toFixed(0)} a second`);
  print(`violations: ${failed.length}${failed[0] ? `; see one with: ${again(failed[0])}` : ''}`);
  return failed.length === 0 ? 0 : 1;
}
