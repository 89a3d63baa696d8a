import type { ToolkitClientSession } from '../core/ports.ts';
import type { Viewer } from '../flows/catalog-api.ts';

export type Era = 'legacy' | 'modern';

type Params = Record<string, unknown>;

/** One request of a client, with what its era offers for telling and asking that client something meanwhile. */
export type Exchange = {
  era: Era;
  viewer: Viewer;
  signal: AbortSignal;
  progressToken: string | number | undefined;
  /** What the client declared: at `initialize`, or with this very request. */
  capabilities: Params;
  log_level: string | undefined;
  /** Sends a notification that belongs to the request; one that cannot be sent is nobody's failure. */
  notify(method: string, params: Params): void;
  /** Of the legacy era: its session, and a request to the client that belongs to this one. */
  session?: ToolkitClientSession;
  ask?(method: string, params: Params, signal: AbortSignal): Promise<Params>;
  /** Of the modern era: what the client brings to a request that was answered with `input_required`. */
  requestState?: unknown;
  inputResponses?: Params;
};

/** What the client must have declared so that it may be asked this. */
export function neededCapability(method: string, params: Params): Record<string, Params> | undefined {
  if (method === 'roots/list') return { roots: {} };
  if (method === 'sampling/createMessage') return { sampling: params.tools === undefined ? {} : { tools: {} } };
  if (method !== 'elicitation/create') return undefined;
  return { elicitation: params.mode === 'url' ? { url: {} } : {} };
}

/** undefined: the client can be asked. Else what it lacks, as `requiredCapabilities` tells it. */
export function missingCapability(capabilities: Params, method: string, params: Params): Params | undefined {
  const needed = neededCapability(method, params);
  if (!needed) return {};
  for (const [name, parts] of Object.entries(needed)) {
    const declared = capabilities[name];
    if (typeof declared !== 'object' || declared === null) return needed;
    if (Object.keys(parts).some((part) => (declared as Params)[part] === undefined)) return needed;
  }
  return undefined;
}

/** Whether anything could ever be asked of this client. */
export function canBeAsked({ sampling, elicitation, roots }: Params): boolean {
  return sampling !== undefined || elicitation !== undefined || roots !== undefined;
}

/** @see https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1 */
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

export function isLogLevel(level: unknown): level is string {
  return typeof level === 'string' && LEVELS.includes(level);
}

/** Whether the client wants a log message: of the modern era only if it asked, of the legacy one unless it said no. */
function wanted({ era, log_level }: Exchange, params: Params): boolean {
  if (log_level === undefined) return era === 'legacy';
  return LEVELS.indexOf(String(params.level)) >= LEVELS.indexOf(log_level);
}

/** What an upstream may tell in the midst of a call, beside progress. */
const TOLD = {
  legacy: ['notifications/message', 'notifications/elicitation/complete'],
  modern: ['notifications/message'],
};

export function tell(exchange: Exchange, method: string, params: Params): void {
  if (!TOLD[exchange.era].includes(method)) return;
  if (method === 'notifications/message' && !wanted(exchange, params)) return;
  exchange.notify(method, params);
}

/** Progress of the upstream, told under the token of whoever called us. */
export function tellProgress(
  exchange: Exchange,
  progress: { progress: number; total?: number; message?: string },
): void {
  const { progressToken } = exchange;
  if (progressToken !== undefined) exchange.notify('notifications/progress', { ...progress, progressToken });
}
