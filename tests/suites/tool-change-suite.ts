import { beforeEach, expect, it } from 'vitest';
import { timeOrderedId } from '../../src/core/call-record.ts';
import { TOOL_CHANGES_PER_DAY, type ToolDifference } from '../../src/core/tool-change.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Fixture } from './store-fixture.ts';
import { KEY, MINUTE, NOON, storesOf } from './store-fixture.ts';

const DAY = 1_440 * MINUTE;
let drawn = 0;

/** As a listing in that minute would show it. */
export function seen(nth: number, more: Partial<ToolDifference> = {}) {
  const occurred_at = NOON + nth * MINUTE;
  drawn += 1;
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setUint32(6, drawn);
  const difference: ToolDifference = { tool: 't', change: 'changed', parts: ['description'], before: 'A', after: 'B' };
  return { ...difference, ...more, id: timeOrderedId(occurred_at, bytes), occurred_at };
}

export function toolChangeSuite(opened: () => OpenDatabase): void {
  let changes: Fixture['stores']['toolChanges'];
  beforeEach(() => {
    changes = storesOf(opened()).stores.toolChanges;
  });
  const list = (more: object = {}) => changes.list({ key: KEY, limit: 500, ...more });

  it('are kept with digests alone, newest first, and paged without gaps', async () => {
    const added = seen(1, { change: 'added', tool: `it's ü`, parts: [], before: null, after: 'SECRET' });
    const removed = seen(2, { change: 'removed', parts: [], before: 'A', after: null });
    expect(await changes.append(KEY, [added])).toBe(0);
    expect(await changes.append(KEY, [removed])).toBe(0);
    expect(await changes.append({ kind: 'api', name: KEY.name }, [seen(3)])).toBe(0);
    const [last, first] = await list();
    expect(first).toMatchObject({
      id: added.id,
      key: KEY,
      occurred_at: added.occurred_at,
      tool: `it's ü`,
      change: 'added',
    });
    expect(first?.before_digest).toBeNull();
    expect(first?.after_digest).toMatch(/^[0-9a-f]{64}$/);
    expect(last).toMatchObject({ id: removed.id, change: 'removed', after_digest: null });
    expect(JSON.stringify(await list())).not.toContain('SECRET');
    expect(await list({ before: removed.id })).toEqual([first]);
    expect(await changes.append(KEY, [])).toBe(0);
  });

  it('are kept once a day, by whichever replica, however often an upstream flips between two forms', async () => {
    const flips = [seen(1), seen(2, { before: 'B', after: 'A' }), seen(3), seen(4, { before: 'B', after: 'A' })];
    for (const flip of flips) expect(await changes.append(KEY, [flip])).toBe(0);
    await Promise.all([changes.append(KEY, [seen(5, { tool: 'u' })]), changes.append(KEY, [seen(5, { tool: 'u' })])]);
    expect(await list()).toHaveLength(3);
    await changes.append(KEY, [seen(DAY / MINUTE)]);
    expect(await list()).toHaveLength(4);
  });

  it('are bounded within a day, and tell how many were left out', async () => {
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => seen(1, { tool: `t${from + index}` }));
    expect(await changes.append(KEY, many(0, TOOL_CHANGES_PER_DAY - 1))).toBe(0);
    expect(await changes.append(KEY, many(0, TOOL_CHANGES_PER_DAY - 1))).toBe(0);
    expect(await changes.append(KEY, many(500, 5))).toBe(4);
    expect(await changes.append(KEY, many(600, 3))).toBe(3);
    expect(await list()).toHaveLength(TOOL_CHANGES_PER_DAY);
    expect(await changes.append(KEY, [seen(DAY / MINUTE, { tool: 'tomorrow' })])).toBe(0);
  });

  it('are pruned by age, in batches', async () => {
    for (const nth of [1, 2, 3]) await changes.append(KEY, [seen(nth, { tool: `t${nth}` })]);
    expect(await changes.prune(NOON + 3 * MINUTE, 1)).toBe(1);
    expect(await changes.prune(NOON + 3 * MINUTE, 10)).toBe(1);
    expect((await list()).map(({ tool }) => tool)).toEqual(['t3']);
  });
}
