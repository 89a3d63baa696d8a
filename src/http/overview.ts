import type { OAuthHealth, SystemInfo } from '../contract/schemas.ts';
import { openIncidents } from '../core/open-incidents.ts';
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

/** Every connection that uses OAuth, with its status, and the incidents at their authorization servers. */
export async function oauthHealth(flow: Pick<ConnectionsFlow, 'list'>): Promise<OAuthHealth> {
  const all = await flow.list();
  const connections = all.flatMap(({ kind, name, oauth }) => (oauth ? [{ kind, name, oauth }] : []));
  return { connections, incidents: openIncidents(connections.map(({ oauth }) => oauth)) };
}
