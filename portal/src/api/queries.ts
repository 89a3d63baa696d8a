import { infiniteQueryOptions, MutationCache, QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';
import { createClient } from '../../../src/contract/client.ts';
import { localSentence } from '../text/time.ts';
import { loseSession } from './session.ts';
import { ApiProblem, type CallOutcome, type ConnectionKey } from './wire.ts';

const POLL_MS = 4_000;
const PAGE = 30;
const SHORT_PAGE = 10;

export const api = createClient({ baseUrl: '', fetch: (url, init) => fetch(url, init) });

function noticeSignOut(error: unknown): void {
  if (error instanceof ApiProblem && error.status === 401) loseSession();
}

/** Only an answer that may be another one next time is worth asking for again. */
function worthRetrying(count: number, error: unknown): boolean {
  return count < 1 && !(error instanceof ApiProblem && error.status >= 400 && error.status < 500);
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noticeSignOut }),
  mutationCache: new MutationCache({ onError: noticeSignOut }),
  defaultOptions: { queries: { retry: worthRetrying, retryDelay: 500, staleTime: 1_000 } },
});

export const connectionsQuery = queryOptions({
  queryKey: ['connections'],
  queryFn: ({ signal }) => api.listConnections({ signal }),
  refetchInterval: POLL_MS,
});

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => api.getSession({ signal }),
  staleTime: 60_000,
});

export function connectionQuery(key: ConnectionKey) {
  return queryOptions({
    queryKey: ['connection', key.kind, key.name],
    queryFn: ({ signal }) => api.getConnection({ params: key, signal }),
    refetchInterval: POLL_MS,
  });
}

type Page = { next_before: string | null };

/** A list of the server, newest first, one page after the other. */
function pagesQuery<P extends Page>(
  queryKey: readonly unknown[],
  load: (page: { limit: number; before?: string }, signal: AbortSignal) => Promise<P>,
  limit = PAGE,
) {
  return infiniteQueryOptions({
    queryKey,
    queryFn: ({ signal, pageParam }) => load({ limit, ...(pageParam === null ? {} : { before: pageParam }) }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_before,
    refetchInterval: POLL_MS,
  });
}

export function historyQuery(key: ConnectionKey) {
  return pagesQuery(['history', key.kind, key.name], (page, signal) =>
    api.listConnectionEvents({ params: key, query: page, signal }),
  );
}

/** @param outcomes which ends of a call are asked for; empty: every one */
export function callsQuery(key: ConnectionKey, outcomes: readonly CallOutcome[]) {
  return pagesQuery(['calls', key.kind, key.name, outcomes], (page, signal) =>
    api.listCalls({ query: { ...key, ...page, ...(outcomes.length > 0 ? { outcome: [...outcomes] } : {}) }, signal }),
  );
}

export function toolChangesQuery(key: ConnectionKey) {
  return pagesQuery(
    ['tool-changes', key.kind, key.name],
    (page, signal) => api.listToolChanges({ params: key, query: page, signal }),
    SHORT_PAGE,
  );
}

/** After anything that an operator did to one connection. */
export async function refetchConnection(key: ConnectionKey): Promise<void> {
  await Promise.all([
    queryClient.invalidateQueries({ queryKey: connectionsQuery.queryKey }),
    queryClient.invalidateQueries({ queryKey: ['connection', key.kind, key.name] }),
    queryClient.invalidateQueries({ queryKey: ['history', key.kind, key.name] }),
  ]);
}

/** For a person; faults of the portal itself, which have no such words, are named as that. */
export function problemMessage(error: unknown): string {
  if (error instanceof ApiProblem && error.message.trim() !== '') return localSentence(error.message);
  return 'The portal could not do this. Reload the page; if it happens again, look into the server’s log.';
}
