import type { ProtocolError } from '@modelcontextprotocol/server';
import { isRecord } from '../core/json-shape.ts';
import type { Clock, Log, Random } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { Catalog, CatalogView } from '../flows/catalog-api.ts';
import { FORWARDED_METHODS, type ForwardedMethod, type ToolCall } from '../flows/tool-call.ts';
import type { Era, Exchange } from './exchange.ts';
import { forwardLegacy } from './legacy-forward.ts';
import { legacyTool } from './legacy-tool.ts';
import { forwardModern, type ModernForwardDeps, type ModernOutcome } from './modern-forward.ts';
import { type Page, pageOf } from './pages.ts';
import {
  cancelled,
  connectionFailed,
  invalidCursor,
  invalidParams,
  methodNotFound,
  relayedError,
  unknownItem,
} from './relayed-error.ts';

type Params = Record<string, unknown>;

export type RequestDeps = ModernForwardDeps & {
  catalog: Pick<Catalog, 'view' | 'onChange' | 'concerns'>;
  toolCall: ToolCall;
  clock: Clock;
  random: Random;
  log: Log;
};

const LISTS: Record<string, { of(view: CatalogView): readonly Params[]; field: string }> = {
  'tools/list': { of: (view) => view.tools, field: 'tools' },
  'prompts/list': { of: (view) => view.prompts, field: 'prompts' },
  'resources/list': { of: (view) => view.resources, field: 'resources' },
  'resources/templates/list': { of: (view) => view.resource_templates, field: 'resourceTemplates' },
};

/** The field that names what is asked for; without it, a request leads nowhere. */
const NAMED: Record<ForwardedMethod, 'name' | 'uri' | 'ref'> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'completion/complete': 'ref',
};

/** Which declared capability a method belongs to. */
const CAPABILITY: Record<string, string> = {
  'tools/list': 'tools',
  'tools/call': 'tools',
  'prompts/list': 'prompts',
  'prompts/get': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resources',
  'resources/read': 'resources',
  'resources/subscribe': 'resources',
  'resources/unsubscribe': 'resources',
  'completion/complete': 'completions',
  'logging/setLevel': 'logging',
};

/** Whether a view has this method at all; for all others, the answer is that the method is not found. */
export function offers(view: CatalogView, method: string): boolean {
  const capability = CAPABILITY[method];
  return capability !== undefined && view.about.capabilities[capability] !== undefined;
}

function isForwarded(method: string): method is ForwardedMethod {
  return (FORWARDED_METHODS as readonly string[]).includes(method);
}

const legacyTools = new WeakMap<readonly unknown[], readonly Params[]>();

/** The same page for as long as the list is the same, so that each tool is fitted once. */
function listed(view: CatalogView, method: string, era: Era): readonly Params[] {
  const items = LISTS[method]?.of(view) ?? [];
  if (era === 'modern' || method !== 'tools/list') return items;
  const known = legacyTools.get(items);
  if (known) return known;
  const fitted = view.tools.map(legacyTool);
  legacyTools.set(items, fitted);
  return fitted;
}

function list(view: CatalogView, method: string, era: Era, cursor: unknown): Params {
  const page: Page<Params> | undefined = pageOf(listed(view, method, era), cursor);
  if (!page) throw invalidCursor();
  const { items, nextCursor } = page;
  return { [LISTS[method]?.field ?? '']: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
}

/** Fits a result of `tools/call` to the era of the client. */
export type Project = (result: Params, outputSchema: Params | undefined) => Params;

async function forward(
  deps: RequestDeps,
  exchange: Exchange,
  method: ForwardedMethod,
  params: Params,
  project: Project,
): Promise<Params> {
  const named = params[NAMED[method]];
  const fits =
    method === 'completion/complete' ? typeof named === 'object' && named !== null : typeof named === 'string';
  if (!fits) throw invalidParams(`Invalid params: ${NAMED[method]} is missing, or of another type.`);
  const { era } = exchange;
  const outcome: ModernOutcome =
    era === 'legacy'
      ? await forwardLegacy(deps, exchange, method, params)
      : await forwardModern(deps, exchange, method, params);
  switch (outcome.type) {
    case 'result':
      if (method === 'tools/call') return project(outcome.result, outcome.outputSchema);
      // Behind a key, nothing is public, whatever the upstream says of itself.
      return outcome.result.cacheScope === undefined ? outcome.result : { ...outcome.result, cacheScope: 'private' };
    case 'input_required':
      return outcome.result;
    case 'unknown':
      throw unknownItem(outcome.what, outcome.name);
    case 'rpc_error':
      throw errorOf(exchange, outcome.code, outcome.message, outcome.data);
    case 'failed':
      throw connectionFailed(outcome.failure);
    case 'cancelled':
      throw cancelled();
  }
}

/** The SDK drops a result whose `_meta` is no object without a word, and its client waits for ever. */
function sendable(result: Params): Params {
  if (result._meta === undefined) return result;
  const { _meta, ...rest } = result;
  return isRecord(_meta) ? result : rest;
}

function errorOf({ era, capabilities }: Exchange, code: number, message: string, data: unknown): ProtocolError {
  return relayedError(era, code, message, data, capabilities);
}

/**
 * Answers one request of a client, but for those that the era itself answers.
 * @throws ProtocolError
 */
export async function answerRequest(
  deps: RequestDeps,
  exchange: Exchange,
  method: string,
  params: Params,
  project: Project,
): Promise<Params> {
  const view = deps.catalog.view(exchange.viewer);
  if (!offers(view, method)) throw methodNotFound();
  if (LISTS[method]) return list(view, method, exchange.era, params.cursor);
  if (!isForwarded(method)) throw methodNotFound();
  try {
    return sendable(await forward(deps, exchange, method, params, project));
  } catch (error) {
    if (error instanceof RpcError) throw errorOf(exchange, error.code, error.message, error.data);
    throw error;
  }
}
