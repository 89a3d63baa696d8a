import { ResultSchema } from '@modelcontextprotocol/core';
import type {
  CallToolResult,
  JsonSchemaValidator,
  ServerCapabilities,
  ServerContext,
  ServerOptions,
} from '@modelcontextprotocol/server';
import { CLIENT_CAPABILITIES_META_KEY, LOG_LEVEL_META_KEY, ProtocolError, Server } from '@modelcontextprotocol/server';
import type { ListKind } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { CatalogView, Viewer } from '../flows/catalog-api.ts';
import type { Exchange } from './exchange.ts';
import { LegacyConversation } from './legacy-conversation.ts';
import { clientOf } from './legacy-forward.ts';
import { internalError } from './relayed-error.ts';
import { answerRequest, offers, type Project, type RequestDeps } from './requests.ts';

export const SERVER_NAME = 'mcp-data-platform';

export const INSTRUCTIONS = [
  'Tools of several connections, named <connection>__<tool>.',
  'A result with isError and an error that names a connection means that the connection needs attention:',
  'show the user the address that it contains, and call again once they have been there.',
].join(' ');

export type ServerDeps = RequestDeps & { version: string };

type Params = Record<string, unknown>;

/** A person may be asked, who may be away from the desk. */
const ASK_TIMEOUT_MS = 10 * 60_000;

/** Of everything the SDK would check with a schema, nothing is ours to check; a validator costs a compiler per request. */
const NO_VALIDATOR: NonNullable<ServerOptions['jsonSchemaValidator']> = {
  getValidator: <T>(): JsonSchemaValidator<T> => {
    return () => ({ valid: false, data: undefined, errorMessage: 'Nothing is validated here.' });
  },
};

/** Who answers: at its own address a connection speaks for its upstream. */
export function identityOf(
  { version }: ServerDeps,
  viewer: Viewer,
  view: CatalogView,
): { name: string; version: string } {
  const identity = { name: SERVER_NAME, version };
  return viewer.connection ? { ...identity, ...view.about.serverInfo } : identity;
}

function newServer(deps: ServerDeps, viewer: Viewer, view: CatalogView): Server {
  const { capabilities, instructions } = view.about;
  const told = viewer.connection ? instructions : INSTRUCTIONS;
  return new Server(identityOf(deps, viewer, view), {
    capabilities: capabilities as ServerCapabilities,
    ...(told === undefined ? {} : { instructions: told }),
    jsonSchemaValidator: NO_VALIDATOR,
  });
}

export function progressTokenOf(params: Params): string | number | undefined {
  const token = (params._meta as Params | undefined)?.progressToken;
  return typeof token === 'string' || typeof token === 'number' ? token : undefined;
}

type Notification = Parameters<ServerContext['mcpReq']['notify']>[0];

function notifier(ctx: ServerContext): Exchange['notify'] {
  return (method, params) => {
    ctx.mcpReq.notify({ method, params } as Notification).catch(() => undefined);
  };
}

/** Whatever fails inside leaves a line in the log, and nothing of it reaches the client. */
export async function guarded(deps: ServerDeps, method: string, work: () => Promise<Params>): Promise<Params> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    deps.log.error('an MCP request failed', { method, error });
    throw internalError();
  }
}

export function projection(server: Server): Project {
  return (result, outputSchema) => server.projectCallToolResult(result as CallToolResult, outputSchema) as Params;
}

/**
 * Our low-level server for one request, or for one pipe, of the modern era. A registered handler would re-validate
 * results and strip what the SDK does not know; the fallback is verbatim. A method that nobody offers gets none, so that
 * the SDK answers it with the HTTP status that belongs to it.
 */
export function createModernServer(deps: ServerDeps, viewer: Viewer, only?: { method: string }): Server {
  const view = deps.catalog.view(viewer);
  const server = newServer(deps, viewer, view);
  if (only && !offers(view, only.method)) return server;
  const project = projection(server);
  server.fallbackRequestHandler = (request, ctx: ServerContext) =>
    guarded(deps, request.method, () => {
      const params = (request.params ?? {}) as Params;
      const envelope = (ctx.mcpReq.envelope ?? {}) as Params;
      const level = envelope[LOG_LEVEL_META_KEY];
      const state = ctx.mcpReq.requestState();
      const exchange: Exchange = {
        era: 'modern',
        viewer,
        signal: ctx.mcpReq.signal,
        progressToken: progressTokenOf(params),
        capabilities: (envelope[CLIENT_CAPABILITIES_META_KEY] ?? {}) as Params,
        log_level: typeof level === 'string' ? level : undefined,
        notify: notifier(ctx),
        ...(state === undefined ? {} : { requestState: state }),
        ...(ctx.mcpReq.inputResponses === undefined ? {} : { inputResponses: ctx.mcpReq.inputResponses as Params }),
      };
      return answerRequest(deps, exchange, request.method, params, project);
    });
  return server;
}

/** Our low-level server for one session, or one pipe, of the legacy era. */
export function createLegacyServer(
  deps: ServerDeps,
  viewer: Viewer,
): { server: Server; conversation: LegacyConversation; end(): void } {
  const server = newServer(deps, viewer, deps.catalog.view(viewer));
  const updated = (params: Params) => {
    server.sendResourceUpdated(params as { uri: string }).catch(() => undefined);
  };
  const conversation = new LegacyConversation(deps, viewer, updated);
  const project = projection(server);
  // The SDK's own handler would keep the level to itself.
  server.removeRequestHandler('logging/setLevel');
  server.setNotificationHandler('notifications/roots/list_changed', () => conversation.rootsChanged());
  server.fallbackRequestHandler = (request, ctx: ServerContext) =>
    guarded(deps, request.method, async () => {
      const params = (request.params ?? {}) as Params;
      const { method } = request;
      if (offers(deps.catalog.view(viewer), method)) {
        if (method === 'logging/setLevel') return conversation.setLevel(params);
        if (method === 'resources/subscribe') {
          // What is asked and told meanwhile, and as long as it is followed, belongs to no request of the client's.
          const client = clientOf(legacyExchange(server, conversation, params, ctx, () => true));
          return conversation.subscribe(params, client);
        }
        if (method === 'resources/unsubscribe') return conversation.unsubscribe(params);
      }
      let over = false;
      const exchange = legacyExchange(server, conversation, params, ctx, () => over);
      return answerRequest(deps, exchange, method, params, project).finally(() => {
        over = true;
      });
    });
  return { server, conversation, end: () => conversation.end() };
}

/**
 * A client's answer to a question of an upstream, be it an error.
 * @throws RpcError the client's own error; an error of the SDK when it cannot be asked
 */
async function answerOf(asking: Promise<unknown>): Promise<Params> {
  try {
    return (await asking) as Params;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new RpcError(error.code, error.message, error.data);
  }
}

/**
 * What an upstream tells or asks while the request is under way goes along with it; afterwards, what it still has to say
 * in its session for this client goes over the client's stream of notifications.
 */
function legacyExchange(
  server: Server,
  conversation: LegacyConversation,
  params: Params,
  { mcpReq }: ServerContext,
  isOver: () => boolean,
): Exchange {
  return {
    era: 'legacy',
    viewer: conversation.viewer,
    signal: mcpReq.signal,
    progressToken: progressTokenOf(params),
    capabilities: (server.getClientCapabilities() ?? {}) as Params,
    get log_level() {
      return conversation.log_level;
    },
    session: {
      id: conversation.id,
      ended: conversation.ended,
      onRootsChanged: (changed, until) => conversation.onRootsChanged(changed, until),
    },
    notify(method, told) {
      const notification = { method, params: told } as Notification;
      const sent = isOver() ? server.notification(notification) : mcpReq.notify(notification);
      sent.catch(() => undefined);
    },
    ask(method, asked, signal) {
      const request = { method, params: asked };
      const options = { signal, timeout: ASK_TIMEOUT_MS };
      return answerOf(
        isOver() ? server.request(request, ResultSchema, options) : mcpReq.send(request, ResultSchema, options),
      );
    },
  };
}

/** Tells a client which of its lists to read again. */
export function sendListChanged(server: Server, lists: readonly ListKind[]): void {
  for (const list of lists) {
    const sent =
      list === 'tools'
        ? server.sendToolListChanged()
        : list === 'prompts'
          ? server.sendPromptListChanged()
          : server.sendResourceListChanged();
    // A client to which the list was never declared is not told of it.
    sent.catch(() => undefined);
  }
}
