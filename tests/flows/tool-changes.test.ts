import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { toolDifferences } from '../../src/core/tool-change.ts';
import { createToolChanges } from '../../src/flows/tool-changes.ts';
import { fakeClock, seededRandom } from '../support/ports.ts';
import { recordingLog } from '../support/recording-log.ts';
import { tool } from './fake-toolkit.ts';

const KEY = { kind: 'mcp', name: 'a' };

describe('the differences between two lists of tools', () => {
  it('name what was added, removed and changed, and in which parts', () => {
    const before = [tool('a', { description: 'x' }), tool('b', { vendor: 1 }), tool('gone')];
    const after = [
      tool('b', { vendor: 2, annotations: { readOnlyHint: true }, _meta: {} }),
      tool('a', { description: 'y', title: 'A' }),
      tool('new'),
    ];
    expect(toolDifferences(before, after).map(({ tool: of, change, parts }) => [of, change, parts])).toEqual([
      ['b', 'changed', ['annotations', '_meta', 'other']],
      ['a', 'changed', ['title', 'description']],
      ['new', 'added', []],
      ['gone', 'removed', []],
    ]);
  });

  it('are none where the list is the same, in whatever order', () => {
    const tools = fc.uniqueArray(fc.record({ name: fc.string({ maxLength: 3 }), description: fc.string() }), {
      selector: ({ name }) => name,
    });
    fc.assert(fc.property(tools, (list) => toolDifferences(list, list.toReversed()).length === 0));
  });

  it('turn one list into the other', () => {
    const tools = fc.uniqueArray(
      fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), description: fc.constantFrom('1', '2') }),
      { selector: ({ name }) => name },
    );
    fc.assert(
      fc.property(tools, tools, (before, after) => {
        const found = new Map<string, string>(before.map((one) => [one.name, JSON.stringify(one)]));
        for (const { tool: name, before: was, after: is } of toolDifferences(before, after)) {
          expect(found.get(name) ?? null).toBe(was);
          if (is === null) found.delete(name);
          else found.set(name, is);
        }
        expect(found).toEqual(new Map(after.map((one) => [one.name, JSON.stringify(one)])));
      }),
    );
  });
});

describe('a changed tool', () => {
  it('is kept, and what is left out or cannot be kept is said', async () => {
    const log = recordingLog();
    const append = vi.fn(async () => 0);
    const note = createToolChanges({ store: { append }, clock: fakeClock(5), random: seededRandom(), log });
    note(KEY, [tool('a')], [tool('b')]);
    const change = { tool: 'b', change: 'added', occurred_at: 5, id: expect.stringMatching(/^[\da-f-]{36}$/) };
    expect(append).toHaveBeenCalledWith(KEY, [expect.objectContaining(change), expect.objectContaining({ tool: 'a' })]);
    append.mockResolvedValueOnce(7);
    note(KEY, [], [tool('b')]);
    await vi.waitFor(() =>
      expect(log.lines).toMatchObject([{ level: 'warn', fields: { connection: 'mcp/a', left_out: 7 } }]),
    );
    append.mockRejectedValueOnce(new AppError('database_unavailable', 'away'));
    note(KEY, [], [tool('b')]);
    await vi.waitFor(() => expect(log.lines[1]?.message).toBe('changes of tools could not be kept'));
  });
});
