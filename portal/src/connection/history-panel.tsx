import { Collapsible } from '@base-ui/react/collapsible';
import { useInfiniteQuery } from '@tanstack/react-query';
import { ChevronDown } from 'lucide-react';
import { useId } from 'react';
import { historyQuery } from '../api/queries.ts';
import type { ConnectionKey } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { LoadError, Loading } from '../ui/load-states.tsx';
import { HistoryRow } from './history-row.tsx';

function HistoryList({ connectionKey }: { connectionKey: ConnectionKey }) {
  const history = useInfiniteQuery(historyQuery(connectionKey));
  const events = history.data?.pages.flatMap((page) => page.events);
  return (
    <div className="space-y-4">
      {history.error && (
        <LoadError
          what="The history"
          error={history.error}
          retry={() => void (history.isFetchNextPageError ? history.fetchNextPage() : history.refetch())}
          retrying={history.isFetching}
          stale={events !== undefined}
        />
      )}
      {!events && !history.error && <Loading what="the history" />}
      {events?.length === 0 && <p className="text-sm text-ink-soft">Nothing has happened yet.</p>}
      {events && events.length > 0 && (
        <ol className="divide-y divide-line">
          {events.map((event) => (
            <HistoryRow key={event.id} event={event} />
          ))}
        </ol>
      )}
      {history.hasNextPage && (
        <Button busy={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
          Load more
        </Button>
      )}
    </div>
  );
}

/** Collapsed, it asks for nothing. */
export function HistoryPanel({ connectionKey }: { connectionKey: ConnectionKey }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="rounded-xl border border-line bg-surface shadow-card">
      <Collapsible.Root defaultOpen>
        <h2 id={id} className="text-base font-semibold">
          <Collapsible.Trigger className="group flex w-full items-center justify-between gap-4 rounded-xl p-5 text-left sm:px-6">
            History
            <ChevronDown
              size={18}
              aria-hidden
              className="text-ink-soft transition-transform group-data-panel-open:rotate-180"
            />
          </Collapsible.Trigger>
        </h2>
        <Collapsible.Panel className="px-5 pb-5 sm:px-6">
          <HistoryList connectionKey={connectionKey} />
        </Collapsible.Panel>
      </Collapsible.Root>
    </section>
  );
}
