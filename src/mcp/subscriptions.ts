import { connectionLabel } from '../core/connection.ts';
import { toAppError } from '../core/errors.ts';
import type { Clock, Log, Random, ToolkitClient, ToolkitConnection } from '../core/ports.ts';
import { publishedUri } from '../core/resource-uri.ts';
import type { Catalog, Viewer } from '../flows/catalog-api.ts';

export type SubscriptionDeps = { catalog: Pick<Catalog, 'view' | 'onChange'>; clock: Clock; random: Random; log: Log };

export type Subscribed = 'subscribed' | 'unknown' | 'unsupported';

/** Pauses while a connection that was opened anew cannot be asked to tell of the resource. */
const AGAIN_MS = { first: 1_000, longest: 60_000 };

/**
 * Follows one resource for a viewer until the signal aborts, also when its connection is opened anew. Resolves once the
 * upstream has agreed.
 * @param updated receives the parameters of each notification, its URI as the viewer knows it
 * @param client of a legacy session: told, too, of what the upstream changes for that session alone
 * @throws RpcError, AppError what the upstream or its connection answered to the first request
 */
export async function followResource(
  { catalog, clock, random, log }: SubscriptionDeps,
  viewer: Viewer,
  uri: string,
  updated: (params: Record<string, unknown>) => void,
  signal: AbortSignal,
  client?: ToolkitClient,
): Promise<Subscribed> {
  const target = catalog.view(viewer).resource(uri);
  if (!target) return 'unknown';
  if (!target.upstream.subscribe) return 'unsupported';
  const label = connectionLabel(target.key);
  let followed: { upstream: ToolkitConnection; end: AbortController } | undefined;
  type Source = { upstream: ToolkitConnection; uri: string; prefix: string | undefined };
  const begin = ({ upstream }: Source): AbortSignal => {
    followed?.end.abort();
    followed = { upstream, end: new AbortController() };
    return AbortSignal.any([signal, followed.end.signal]);
  };
  const follow = async ({ upstream, uri: source, prefix }: Source, until: AbortSignal): Promise<void> => {
    const told = (params: Record<string, unknown>) => {
      const given = typeof params.uri === 'string' ? params.uri : source;
      updated({ ...params, uri: prefix === undefined ? given : publishedUri(prefix, given) });
    };
    await upstream.subscribe?.(source, told, until, client);
  };
  const followAgain = async (source: Source): Promise<void> => {
    const until = begin(source);
    for (let pause = AGAIN_MS.first; !until.aborted; pause = Math.min(pause * 2, AGAIN_MS.longest)) {
      try {
        return await follow(source, until);
      } catch (error) {
        log.debug('a resource cannot be followed again yet', { connection: label, error: toAppError(error) });
      }
      await clock.sleep(pause * (0.8 + 0.4 * random.fraction()), until);
    }
  };
  const stop = catalog.onChange((changes) => {
    if (!changes.some(({ key }) => connectionLabel(key) === label)) return;
    const now = catalog.view(viewer).resource(uri);
    if (now && now.upstream !== followed?.upstream) void followAgain(now);
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    await follow(target, begin(target));
    return 'subscribed';
  } catch (error) {
    stop();
    throw error;
  }
}

/** Resources that one stream of notifications may follow. */
export const MOST_FOLLOWED = 500;

/**
 * Follows for one `subscriptions/listen` what it asks for, until the signal aborts.
 * @param updated receives the URI as the client named it, and the notification's other parameters
 * @returns the same request, its filter naming those resources alone that their upstreams agreed to tell of
 */
export async function followListed<T extends { params?: unknown }>(
  deps: SubscriptionDeps,
  viewer: Viewer,
  listening: T,
  updated: (uri: string, rest: Record<string, unknown>) => void,
  signal: AbortSignal,
): Promise<T> {
  const params = (listening.params ?? {}) as { notifications?: { resourceSubscriptions?: unknown } };
  const wanted = params.notifications?.resourceSubscriptions;
  if (!Array.isArray(wanted) || !wanted.every((uri) => typeof uri === 'string')) return listening;
  const uris = [...new Set<string>(wanted)].slice(0, MOST_FOLLOWED);
  const agreed = await Promise.all(
    uris.map(async (uri) => {
      const told = ({ uri: _, ...rest }: Record<string, unknown>) => updated(uri, rest);
      const answer = await followResource(deps, viewer, uri, told, signal).catch(() => 'refused' as const);
      return answer === 'subscribed' ? [uri] : [];
    }),
  );
  const notifications = { ...params.notifications, resourceSubscriptions: agreed.flat() };
  return { ...listening, params: { ...params, notifications } };
}
