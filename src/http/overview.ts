import type { Examination, SystemInfo } from '../contract/schemas.ts';
import type { ConnectionsFlow } from '../flows/api.ts';
import type { HttpDeps } from './deps.ts';

/** What is running, and where it is reached. */
export function systemInfo({
  version,
  engine,
  publicUrl,
}: Pick<HttpDeps, 'version' | 'engine' | 'publicUrl'>): SystemInfo {
  return { version, engine, public_url: publicUrl, mcp_endpoint: new URL('/mcp', publicUrl).href };
}

/** Every connection that uses OAuth, with its status. */
export async function oauthHealth(connections: Pick<ConnectionsFlow, 'list'>): Promise<Examination['connections']> {
  const all = await connections.list();
  return all.flatMap(({ kind, name, oauth }) => (oauth ? [{ kind, name, oauth }] : []));
}
