import { timeOrderedId } from '../core/call-record.ts';
import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import type { Clock, Log, Random, ToolChangeStore, UpstreamTool } from '../core/ports.ts';
import { TOOL_CHANGES_PER_DAY, toolDifferences } from '../core/tool-change.ts';

export type ToolChangesDeps = { store: Pick<ToolChangeStore, 'append'>; clock: Clock; random: Random; log: Log };

/** Keeps how the tools of a connection changed between two listings. */
export type ToolChanges = (key: ConnectionKey, before: readonly UpstreamTool[], after: readonly UpstreamTool[]) => void;

export function createToolChanges({ store, clock, random, log }: ToolChangesDeps): ToolChanges {
  return (key, before, after) => {
    const occurred_at = clock.now();
    const changes = toolDifferences(before, after).map((difference) => ({
      ...difference,
      id: timeOrderedId(occurred_at, random.bytes(10)),
      occurred_at,
    }));
    const connection = connectionLabel(key);
    store.append(key, changes).then(
      (left_out) => {
        const bound = TOOL_CHANGES_PER_DAY;
        if (left_out > 0)
          log.warn('changes of tools are not kept: too many of one day', { connection, left_out, bound });
      },
      (error: unknown) =>
        log.warn('changes of tools could not be kept', { connection, changes: changes.length, error }),
    );
  };
}
