/** Who asks. `admin` may change connections; `agent` may list and call tools. */
export type Role = 'admin' | 'agent';

export type Principal = {
  /** `apikey:<name>`, the operator's email or id, or `admin:unattributed`. */
  actor: string;
  role: Role;
  via: 'api_key' | 'session' | 'stdio';
};

/** The actors that are not persons, as the history shows them. */
export const ACTOR = {
  backgroundRefresh: 'system:background-refresh',
  refreshCanary: 'system:refresh-canary',
  toolCall: 'system:tool-call',
  recovery: 'system:recovery',
  configurationFile: 'system:configuration-file',
  unattributed: 'admin:unattributed',
} as const;

export function apiKeyActor(name: string): string {
  return `apikey:${name}`;
}
