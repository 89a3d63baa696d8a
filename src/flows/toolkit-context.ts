import { connectionLabel } from '../core/connection.ts';
import type { Clock, Connection, Fetch, Log, Random, Stores, ToolkitContext } from '../core/ports.ts';
import { fetchOf } from '../core/tls-material.ts';
import type { AccessTokenFor } from './api.ts';

export type ToolkitContextDeps = {
  stores: Pick<Stores, 'events'>;
  accessToken: AccessTokenFor;
  fetch: Fetch;
  clock: Clock;
  random: Random;
  log: Log;
};

/** All that a toolkit ever sees of the platform: access tokens of its own connection, and no refresh token. */
export function toolkitContext(deps: ToolkitContextDeps, connection: Connection): ToolkitContext {
  const { accessToken, fetch, clock, random, log, stores } = deps;
  const { key, config } = connection;
  return {
    key,
    config,
    accessToken: (options) => accessToken(key, options),
    fetch: fetchOf(fetch, config),
    log: log.child({ connection: connectionLabel(key) }),
    clock,
    random,
    authEvents: { append: (events) => stores.events.append(key, events) },
  };
}
