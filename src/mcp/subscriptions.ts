import { connectionLabel } from '../core/connection.ts';
import { toAppError } from '../core/errors.ts';
import type { Log, ToolkitConnection } from '../core/ports.ts';
import { publishedUri } from '../core/resource-uri.ts';
import type { Catalog, Viewer } from '../flows/catalog-api.ts';

export type SubscriptionDeps = { catalog: Pick<Catalog, 'view' | 'onChange'>; log: Log };

export type Subscribed = 'subscribed' | 'unknown' | 'unsupported';

/**
 * Follows one resource for a viewer until the signal aborts, also when its connection is opened anew. Resolves once the
 * upstream has agreed.
 * @param updated receives the parameters of each notification, its URI as the viewer knows it
 * @throws RpcError, AppError what the upstream or its connection answered to the first request
 */
export async function followResource(
  { catalog, log }: SubscriptionDeps,
  viewer: Viewer,
  uri: string,
  updated: (params: Record<string, unknown>) => void,
  signal: AbortSignal,
): Promise<Subscribed> {
  const target = catalog.view(viewer).resource(uri);
  if (!target) return 'unknown';
  if (!target.upstream.subscribe) return 'unsupported';
  const label = connectionLabel(target.key);
  let followed: { upstream: ToolkitConnection; end: AbortController } | undefined;
  const follow = async (upstream: ToolkitConnection, source: string, prefix: string | undefined): Promise<void> => {
    followed?.end.abort();
    const end = new AbortController();
    followed = { upstream, end };
    const told = (params: Record<string, unknown>) => {
      const given = typeof params.uri === 'string' ? params.uri : source;
      updated({ ...params, uri: prefix === undefined ? given : publishedUri(prefix, given) });
    };
    await upstream.subscribe?.(source, told, AbortSignal.any([signal, end.signal]));
  };
  const stop = catalog.onChange((changes) => {
    if (!changes.some(({ key }) => connectionLabel(key) === label)) return;
    const now = catalog.view(viewer).resource(uri);
    if (!now || now.upstream === followed?.upstream) return;
    follow(now.upstream, now.uri, now.prefix).catch((error: unknown) => {
      log.debug('a resource can no longer be followed', { connection: label, error: toAppError(error) });
    });
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    await follow(target.upstream, target.uri, target.prefix);
    return 'subscribed';
  } catch (error) {
    stop();
    throw error;
  }
}
