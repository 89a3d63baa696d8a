import type { OAuthStatus } from './connection-status.ts';
import { counted } from './counted.ts';

/** An incident as the admin API tells it. Instants are RFC 3339. */
export type OpenIncident = {
  idp_host: string;
  opened_at: string;
  next_probe_at: string;
  /** Connections of that host. */
  connections: number;
  /** Of them, those whose last refresh failed. */
  failing: number;
  /** Of these, those that were refused, and are kept. */
  held: number;
  sentence: string;
};

function incidentOf(idp_host: string, statuses: readonly OAuthStatus[]): OpenIncident[] {
  const incident = statuses.find(({ issuer_incident }) => issuer_incident)?.issuer_incident;
  if (!incident) return [];
  const failing = statuses.filter(({ failing_since }) => failing_since !== null).length;
  const held = statuses.filter(({ held_since }) => held_since !== null).length;
  const { opened_at, next_probe_at } = incident;
  const sentence = `${failing} of ${counted(statuses.length, 'connection')} at ${idp_host} fail since ${opened_at}, so this is taken for one fault of that server. ${held === 0 ? 'No token is given up' : `${held} refused ${held === 1 ? 'token is' : 'tokens are'} kept`}, one connection asks at a time (next at ${next_probe_at}), and all are renewed when it answers. Look whether ${idp_host} says that it is down.`;
  return [{ idp_host, opened_at, next_probe_at, connections: statuses.length, failing, held, sentence }];
}

/** The incidents that are open at the authorization servers of these connections, by host. */
export function openIncidents(statuses: readonly OAuthStatus[]): OpenIncident[] {
  const hosts = new Map<string, OAuthStatus[]>();
  for (const status of statuses) {
    if (status.idp_host === null || status.state !== 'connected') continue;
    hosts.set(status.idp_host, [...(hosts.get(status.idp_host) ?? []), status]);
  }
  return [...hosts].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([host, found]) => incidentOf(host, found));
}
