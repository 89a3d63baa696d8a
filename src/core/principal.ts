import { type AccessRules, EVERYTHING } from './access-rule.ts';

/** Who asks. `admin` may change connections; `agent` may list and call tools. */
export type Role = 'admin' | 'agent';

export type Principal = {
  /** `apikey:<name>`, the operator's email or id, or `admin:unattributed`. */
  actor: string;
  role: Role;
  via: 'api_key' | 'session' | 'stdio';
  /** What it may use through the gateways; see `permits`. What it may change is its role's business. */
  access: AccessRules;
};

/** Whoever runs a process on the owner's data directory. */
export const STDIO_PRINCIPAL: Principal = { actor: 'stdio', role: 'agent', via: 'stdio', access: EVERYTHING };

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
