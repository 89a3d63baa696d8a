import type { ReactNode } from 'react';
import { Button } from './button.tsx';
import { LoadError, Loading } from './load-states.tsx';

/** What is read of an infinite query. */
type Pages = {
  error: Error | null;
  isFetching: boolean;
  isFetchingNextPage: boolean;
  isFetchNextPageError: boolean;
  hasNextPage: boolean;
  refetch: () => unknown;
  fetchNextPage: () => unknown;
};

type PagedListProps<Item> = {
  /** In the midst of a sentence: `the history`. */
  what: string;
  pages: Pages;
  /** undefined: nothing was loaded yet. */
  items: readonly Item[] | undefined;
  empty: string;
  row: (item: Item) => ReactNode;
};

/** A list that grows at its end. A failed load is never an empty list. */
export function PagedList<Item>({ what, pages, items, empty, row }: PagedListProps<Item>) {
  return (
    <div className="space-y-4">
      {pages.error && (
        <LoadError
          what={what.charAt(0).toUpperCase() + what.slice(1)}
          error={pages.error}
          retry={() => void (pages.isFetchNextPageError ? pages.fetchNextPage() : pages.refetch())}
          retrying={pages.isFetching}
          stale={items !== undefined}
        />
      )}
      {!items && !pages.error && <Loading what={what} />}
      {items?.length === 0 && <p className="text-sm text-ink-soft">{empty}</p>}
      {items && items.length > 0 && <ol className="divide-y divide-line">{items.map(row)}</ol>}
      {pages.hasNextPage && (
        <Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          Load more
        </Button>
      )}
    </div>
  );
}
