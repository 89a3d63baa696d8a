import { useInfiniteQuery } from '@tanstack/react-query';
import { historyQuery } from '../api/queries.ts';
import type { ConnectionKey } from '../api/wire.ts';
import { FoldCard } from '../ui/fold-card.tsx';
import { PagedList } from '../ui/paged-list.tsx';
import { HistoryRow } from './history-row.tsx';

function HistoryList({ connectionKey }: { connectionKey: ConnectionKey }) {
  const history = useInfiniteQuery(historyQuery(connectionKey));
  return (
    <PagedList
      what="the history"
      pages={history}
      items={history.data?.pages.flatMap((page) => page.events)}
      empty="Nothing has happened yet."
      row={(event) => <HistoryRow key={event.id} event={event} />}
    />
  );
}

export function HistoryPanel({ connectionKey }: { connectionKey: ConnectionKey }) {
  return (
    <FoldCard title="History" defaultOpen>
      <HistoryList connectionKey={connectionKey} />
    </FoldCard>
  );
}
