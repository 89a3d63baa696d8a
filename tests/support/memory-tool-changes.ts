import { createHash } from 'node:crypto';
import { firstIdOf } from '../../src/core/call-record.ts';
import { connectionLabel } from '../../src/core/connection.ts';
import type { ToolChange, ToolChangeStore } from '../../src/core/ports.ts';
import { TOOL_CHANGES_PER_DAY } from '../../src/core/tool-change.ts';
import type { MemoryTools } from './memory-tables.ts';

const digest = (text: string | null) => (text === null ? null : createHash('sha256').update(text).digest('hex'));
const dayOf = (instant: number) => new Date(instant).toISOString().slice(0, 10);

export function createMemoryToolChanges({ memory }: Pick<MemoryTools, 'memory'>): ToolChangeStore {
  const of = (key: ToolChange['key']) =>
    [...memory.tables.toolChanges.values()].filter((one) => connectionLabel(one.key) === connectionLabel(key));
  const once = (one: ToolChange) => JSON.stringify([one.tool, one.before_digest, one.after_digest]);
  return {
    async append(key, changes) {
      let left_out = 0;
      for (const { before, after, ...rest } of changes) {
        const change = { ...rest, key, before_digest: digest(before), after_digest: digest(after) };
        const today = of(key).filter(({ occurred_at }) => dayOf(occurred_at) === dayOf(rest.occurred_at));
        if (today.some((one) => once(one) === once(change))) continue;
        if (today.length >= TOOL_CHANGES_PER_DAY) left_out += 1;
        else memory.tables.toolChanges.set(change.id, change);
      }
      return left_out;
    },

    async list({ key, before, limit }) {
      return of(key)
        .filter(({ id }) => before === undefined || id < before)
        .sort(({ id: a }, { id: b }) => (a < b ? 1 : -1))
        .slice(0, limit);
    },

    async prune(before, limit) {
      const { toolChanges } = memory.tables;
      const gone = [...toolChanges.keys()]
        .filter((id) => id < firstIdOf(before))
        .sort()
        .slice(0, limit);
      for (const id of gone) toolChanges.delete(id);
      return gone.length;
    },
  };
}
