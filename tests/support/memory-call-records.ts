import { firstIdOf } from '../../src/core/call-record.ts';
import type { CallRecordStore } from '../../src/core/ports.ts';
import type { MemoryTools } from './memory-tables.ts';

const newest = ({ id: a }: { id: string }, { id: b }: { id: string }) => (a < b ? 1 : -1);
const asked = <T>(wanted: T | undefined, found: T) => wanted === undefined || wanted === found;

export function createMemoryCallRecords({ memory }: Pick<MemoryTools, 'memory'>): CallRecordStore {
  return {
    async append(records, losses) {
      const { tables } = memory;
      for (const record of records)
        if (!tables.calls.has(record.id)) tables.calls.set(record.id, structuredClone(record));
      for (const loss of losses) tables.losses.set(loss.id, { ...loss });
    },

    async list({ kind, name, actor, tool, outcome, since, until, before, limit }) {
      return [...memory.tables.calls.values()]
        .filter(({ key }) => asked(kind, key.kind) && asked(name, key.name))
        .filter((one) => asked(actor, one.actor) && asked(tool, one.tool))
        .filter((one) => !outcome || outcome.length === 0 || outcome.includes(one.outcome))
        .filter(({ id }) => since === undefined || id >= firstIdOf(since))
        .filter(({ id }) => until === undefined || id < firstIdOf(until))
        .filter(({ id }) => before === undefined || id < before)
        .sort(newest)
        .slice(0, limit);
    },

    async losses({ since, until }) {
      return [...memory.tables.losses.values()]
        .filter((loss) => since === undefined || loss.until >= since)
        .filter((loss) => until === undefined || loss.since < until)
        .sort(newest)
        .slice(0, 100);
    },

    async prune(before, limit) {
      const { calls, losses } = memory.tables;
      const old = [...calls.keys()].filter((id) => id < firstIdOf(before));
      const gone = old.sort().slice(0, limit);
      for (const id of gone) calls.delete(id);
      for (const [id, { until }] of losses) if (until < before) losses.delete(id);
      return gone.length;
    },
  };
}
