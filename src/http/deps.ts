import type { RequiredRole } from '../contract/endpoints.ts';
import type { ENGINES } from '../contract/schemas.ts';
import type { PlainAnswer, PlainPost } from '../core/plain-post.ts';
import type { AccessStore, CallRecordStore, Clock, Log, Random, ToolChangeStore } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type {
  AuthorizeFlow,
  ClientCredentialsFlow,
  ConnectionsFlow,
  DisconnectFlow,
  RefreshFlow,
} from '../flows/api.ts';
import type { ApiKeys } from './api-keys.ts';

/** What is mounted beside the admin API: the MCP face. It is reached with an API key alone, never with a cookie. */
export type Mount = {
  path: `/${string}`;
  /** Whether it also serves whatever lies further below than one part. */
  deep?: boolean;
  /** @param part what follows the path and a slash, decoded; undefined: nothing does */
  handle(request: Request, principal: Principal, part?: string): Promise<Response>;
  /** The short way of a plain POST. undefined: nothing was done yet, and `handle` is to answer it. */
  post?(post: PlainPost, principal: Principal, part?: string): Promise<PlainAnswer | Response | undefined>;
};

export type Readiness = { ok: boolean; checks: Record<string, 'ok' | 'failing'> };

/** What is counted, as Prometheus reads it, and who may read it. */
export type MetricsPage = {
  access: RequiredRole;
  read(): Promise<{ content_type: string; text: string }>;
};

export type HttpDeps = {
  flows: {
    connections: ConnectionsFlow;
    disconnect: DisconnectFlow;
    authorize: AuthorizeFlow;
    refresh: RefreshFlow;
    clientCredentials: ClientCredentialsFlow;
  };
  access: AccessStore;
  calls: Pick<CallRecordStore, 'list' | 'losses'>;
  toolChanges: Pick<ToolChangeStore, 'list'>;
  metrics: MetricsPage;
  apiKeys: ApiKeys;
  mounts: readonly Mount[];
  /** The built portal; null where there is none. */
  portalDir: string | null;
  health: { ready(): Promise<Readiness> };
  version: string;
  engine: (typeof ENGINES)[number];
  /** The origin under which browsers and clients reach this server: of the redirect URI, links and cookies. */
  publicUrl: string;
  /** Further hosts, `name` or `name:port`. */
  allowedHosts: readonly string[];
  /** The Client ID Metadata Document, where `publicUrl` is public https. */
  clientMetadata?: Record<string, unknown>;
  clock: Clock;
  random: Random;
  log: Log;
};
