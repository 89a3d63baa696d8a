import { useInfiniteQuery } from '@tanstack/react-query';
import { type LucideIcon, Minus, Pencil, Plus } from 'lucide-react';
import { toolChangesQuery } from '../api/queries.ts';
import type { ConnectionKey, ToolChange } from '../api/wire.ts';
import { toolChangeText } from '../text/tool-changes.ts';
import { FoldCard } from '../ui/fold-card.tsx';
import { PagedList } from '../ui/paged-list.tsx';
import { RecordRow } from '../ui/record-row.tsx';
import type { Tone } from '../ui/tone.ts';

const LOOK: Record<ToolChange['change'], { icon: LucideIcon; tone: Tone }> = {
  added: { icon: Plus, tone: 'good' },
  removed: { icon: Minus, tone: 'warn' },
  changed: { icon: Pencil, tone: 'info' },
};

function ToolChangeRow({ change }: { change: ToolChange }) {
  return (
    <RecordRow
      {...LOOK[change.change]}
      title={<span className="font-mono text-[0.8125rem]">{change.tool}</span>}
      at={change.occurred_at}
      data-tool-change={change.change}
    >
      {toolChangeText(change)}
    </RecordRow>
  );
}

function ToolChangesList({ connectionKey }: { connectionKey: ConnectionKey }) {
  const changes = useInfiniteQuery(toolChangesQuery(connectionKey));
  return (
    <PagedList
      what="the tool changes"
      pages={changes}
      items={changes.data?.pages.flatMap((page) => page.tool_changes)}
      empty="No tool has changed between two listings."
      row={(change) => <ToolChangeRow key={change.id} change={change} />}
    />
  );
}

export function ToolChangesPanel({ connectionKey }: { connectionKey: ConnectionKey }) {
  return (
    <FoldCard title="Tool changes">
      <ToolChangesList connectionKey={connectionKey} />
    </FoldCard>
  );
}
