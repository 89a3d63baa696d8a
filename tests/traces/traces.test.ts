import { it } from 'vitest';
import { describeFlow } from '../flows/world.ts';
import { RUNS } from './runs.ts';
import { TRACES, traceName } from './table.ts';

/** The traces of `docs/durability.md`, step by step. That each needs its rule is shown by `dropped-rules.test.ts`. */
describeFlow('with every rule', (world) => {
  for (const trace of TRACES) it(traceName(trace), () => RUNS[trace.id](world()));
});
