import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import type * as flows from '../flows/world.ts';
import { type CompiledSource, createPatcher } from '../support/compiled-source.ts';
import { emptyTables, openEmbeddedForTest, recordingLog } from '../support/database.ts';
import { DROPPED } from './rules.ts';
import type * as runs from './runs.ts';
import { ruleNames, TRACES, type TraceId } from './table.ts';

const INVARIANT = new Map<TraceId, string>(TRACES.map(({ id, invariant }) => [id, invariant]));

/** For the table that `npm run drop-rules` prints. */
function tell(played: object): void {
  const report = process.env.DROP_RULES_REPORT;
  if (report) appendFileSync(report, `${JSON.stringify(played)}\n`);
}

describe('without its rule, the trace comes back', () => {
  const patcher = createPatcher(['src', 'tests/flows', 'tests/support', 'tests/suites', 'tests/traces']);
  let database: Awaited<ReturnType<typeof openEmbeddedForTest>>;
  const { stackTraceLimit } = Error;

  beforeAll(async () => {
    database = await openEmbeddedForTest();
    await migrate(database.opened.db, { migrations, log: recordingLog() });
  });
  afterAll(async () => {
    patcher.remove();
    await database.end();
  });

  /** What a trace says of a copy: undefined when it is content. */
  async function playOn(copy: CompiledSource, id: TraceId): Promise<string | undefined> {
    const { createWorld } = (await import(copy.url('tests/flows/world.js'))) as typeof flows;
    const { RUNS } = (await import(copy.url('tests/traces/runs.js'))) as typeof runs;
    await emptyTables(database.opened);
    const world = await createWorld(database.opened);
    // Thousands of frames of a failure that is wanted would be mapped to their source.
    Error.stackTraceLimit = 0;
    try {
      await RUNS[id](world);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  it('is content with a copy in which nothing is dropped', async () => {
    const copy = patcher.patched([]);
    try {
      for (const { id } of TRACES) expect([id, await playOn(copy, id)]).toEqual([id, undefined]);
    } finally {
      copy.remove();
    }
  });

  for (const { rules, without, patches, traces } of DROPPED) {
    it(`${ruleNames(rules)}: ${without}`, async () => {
      const copy = patcher.patched(patches);
      try {
        for (const id of traces) {
          const said = await playOn(copy, id);
          const comes_back = said?.startsWith(`${INVARIANT.get(id)}: `) ?? false;
          tell({ rules: ruleNames(rules), without, trace: id, said: said ?? null, comes_back });
          expect(comes_back, `trace ${id} ${said === undefined ? 'stands without it' : `says: ${said}`}`).toBe(true);
        }
      } finally {
        copy.remove();
      }
    });
  }

  it('fails when the text of a rule has moved, or stands in two places', () => {
    const file = 'src/db/settlement.ts';
    const drop = (find: string) => () => patcher.patched([{ file, find, replace: '' }]);
    expect(drop('no such text')).toThrow(`${file} holds this text 0 times, not once`);
    expect(drop('return {')).toThrow('times, not once');
  });

  it('leaves no rule and no trace out', () => {
    const all = (numbers: readonly number[]) => [...new Set(numbers)].sort((a, b) => a - b);
    const rules = Array.from({ length: 22 }, (_, index) => index + 1);
    expect(all(DROPPED.flatMap((one) => one.rules))).toEqual(rules);
    expect(all(TRACES.flatMap((one) => [...one.rules]))).toEqual(rules);
    expect(new Set(DROPPED.flatMap((one) => one.traces))).toEqual(new Set(TRACES.map(({ id }) => id)));
  });
});
