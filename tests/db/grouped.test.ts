import { describe, expect, it } from 'vitest';
import { sharedDirectorySync } from '../../src/db/durable-file.ts';
import { grouped } from '../../src/db/grouped.ts';
import { type Deferred, deferred } from '../support/ports.ts';

/** Runs that end when the test says so. */
function gatedRuns(options: { most: number; keyOf?: (input: string) => string }) {
  const runs: { inputs: readonly string[]; end: (error?: Error) => void }[] = [];
  const call = grouped<string, string>(async (inputs) => {
    const gate = deferred();
    runs.push({ inputs, end: (error) => (error ? gate.reject(error) : gate.resolve()) });
    await gate.promise;
    return inputs.map((input) => () => {
      if (input.startsWith('bad')) throw new Error(`${input} alone`);
      return `done ${input}`;
    });
  }, options);
  return { runs, call };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('calls that share a run', () => {
  it('run alone at once, and together when they come while a run is under way', async () => {
    const { runs, call } = gatedRuns({ most: 3 });
    const first = call('a');
    await turn();
    expect(runs.map(({ inputs }) => inputs)).toEqual([['a']]);
    const others = ['b', 'c', 'd', 'e'].map(call);
    await turn();
    expect(runs).toHaveLength(1);
    runs[0]?.end();
    expect(await first).toBe('done a');
    await turn();
    expect(runs[1]?.inputs).toEqual(['b', 'c', 'd']);
    runs[1]?.end();
    await turn();
    expect(runs[2]?.inputs).toEqual(['e']);
    runs[2]?.end();
    expect(await Promise.all(others)).toEqual(['done b', 'done c', 'done d', 'done e']);
  });

  it('never share a run with another of their key', async () => {
    const { runs, call } = gatedRuns({ most: 8, keyOf: (input) => input.slice(0, 1) });
    const all = ['a1', 'b1', 'a2', 'c1', 'a3'].map(call);
    for (const inputs of [['a1', 'b1', 'c1'], ['a2'], ['a3']]) {
      await turn();
      expect(runs.at(-1)?.inputs).toEqual(inputs);
      runs.at(-1)?.end();
    }
    expect(await Promise.all(all)).toHaveLength(5);
  });

  it('fail alone where it is theirs, and together where the run failed; the next run is another', async () => {
    const { runs, call } = gatedRuns({ most: 8 });
    const mixed = Promise.allSettled(['good', 'bad'].map(call));
    await turn();
    runs[0]?.end();
    expect(await mixed).toMatchObject([{ value: 'done good' }, { reason: { message: 'bad alone' } }]);
    const failed = Promise.allSettled(['x', 'y'].map(call));
    await turn();
    runs[1]?.end(new Error('the run'));
    expect(await failed).toMatchObject([{ reason: { message: 'the run' } }, { reason: { message: 'the run' } }]);
    const again = call('z');
    await turn();
    runs[2]?.end();
    expect(await again).toBe('done z');
  });
});

describe('a directory that is synced for many at once', () => {
  it('acknowledges nobody with a sync that had begun before he asked (rule 10)', async () => {
    const syncs: Deferred<void>[] = [];
    const sync = sharedDirectorySync('/nowhere', () => {
      const gate = deferred();
      syncs.push(gate);
      return gate.promise;
    });
    const acknowledged: string[] = [];
    const asked = (name: string) => sync().then(() => acknowledged.push(name));
    const all = [asked('first'), asked('second'), asked('third')];
    await turn();
    expect(syncs).toHaveLength(1);
    syncs[0]?.resolve();
    await turn();
    expect(acknowledged).toEqual(['first']);
    expect(syncs).toHaveLength(2);
    all.push(asked('fourth'));
    syncs[1]?.resolve();
    await turn();
    expect(acknowledged).toEqual(['first', 'second', 'third']);
    syncs[2]?.resolve();
    await Promise.all(all);
    expect(acknowledged).toEqual(['first', 'second', 'third', 'fourth']);
    expect(syncs).toHaveLength(3);
  });

  it('tells those of a sync that it failed, and none of the next', async () => {
    const outcomes = [Promise.reject(new Error('disk')), Promise.resolve()];
    const sync = sharedDirectorySync('/nowhere', () => outcomes.shift() ?? Promise.resolve());
    expect(await Promise.allSettled([sync(), sync()])).toMatchObject([
      { reason: { message: 'disk' } },
      { status: 'fulfilled' },
    ]);
  });
});
