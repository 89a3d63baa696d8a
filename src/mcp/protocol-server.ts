import type { CallToolResult, ListToolsResult, ServerContext } from '@modelcontextprotocol/server';
import { ProtocolError, Server } from '@modelcontextprotocol/server';
import type { Log } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Catalog } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { legacyTool } from './legacy-tool.ts';
import { internalError, invalidCursor, relayedError, unknownTool } from './relayed-error.ts';
import { toolPage } from './tool-pages.ts';

export const SERVER_NAME = 'mcp-data-platform';

export const INSTRUCTIONS = [
  'Tools of several connections, named <connection>__<tool>.',
  'A result with isError and an error that names a connection means that the connection needs attention:',
  'show the user the address that it contains, and call again once they have been there.',
].join(' ');

export type ServerDeps = {
  catalog: Pick<Catalog, 'tools'>;
  toolCall: ToolCall;
  version: string;
  log: Log;
};

type Era = 'legacy' | 'modern';
type Params = Record<string, unknown> & { _meta?: Record<string, unknown> };

function listTools(deps: ServerDeps, principal: Principal, era: Era, cursor: string | undefined): ListToolsResult {
  const page = toolPage(deps.catalog.tools(principal), cursor);
  if (!page) throw invalidCursor();
  const tools = era === 'legacy' ? page.tools.map(legacyTool) : page.tools;
  return { ...page, tools } as unknown as ListToolsResult;
}

/** Progress of the upstream, told under the token of whoever called us. */
function progressOf(ctx: ServerContext, params: Params) {
  const progressToken = (ctx.mcpReq._meta ?? params._meta)?.progressToken;
  if (typeof progressToken !== 'string' && typeof progressToken !== 'number') return undefined;
  return (progress: { progress: number; total?: number; message?: string }) => {
    const params = { ...progress, progressToken };
    ctx.mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
  };
}

async function callTool(
  deps: ServerDeps,
  server: Server,
  caller: { principal: Principal; era: Era },
  params: Params,
  ctx: ServerContext,
): Promise<CallToolResult> {
  const { name } = params;
  if (typeof name !== 'string') throw unknownTool(String(name));
  const onprogress = progressOf(ctx, params);
  const call = { signal: ctx.mcpReq.signal, ...(onprogress ? { onprogress } : {}) };
  const outcome = await deps.toolCall.call(caller.principal, name, params, call);
  switch (outcome.type) {
    case 'result':
      return server.projectCallToolResult(outcome.result as CallToolResult, outcome.outputSchema);
    case 'unknown_tool':
      throw unknownTool(outcome.name);
    case 'rpc_error':
      throw relayedError(caller.era, outcome.code, outcome.message, outcome.data);
    case 'cancelled':
      throw ProtocolError.fromError(-32603, 'The call was cancelled.', {});
  }
}

/** Our low-level server for one request (modern), one session (legacy) or one pipe (stdio). */
export function createProtocolServer(deps: ServerDeps, principal: Principal, era: Era): Server {
  const server = new Server(
    { name: SERVER_NAME, version: deps.version },
    { capabilities: { tools: { listChanged: true } }, instructions: INSTRUCTIONS },
  );
  const guarded = async <T>(method: string, work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      deps.log.error('an MCP request failed', { method, error });
      throw internalError();
    }
  };
  server.setRequestHandler('tools/list', (request) =>
    guarded('tools/list', () => listTools(deps, principal, era, request.params?.cursor)),
  );
  const call = (params: unknown, ctx: ServerContext) =>
    guarded('tools/call', () => callTool(deps, server, { principal, era }, (params ?? {}) as Params, ctx));
  if (era === 'modern') server.setRequestHandler('tools/call', (request, ctx) => call(request.params, ctx));
  else {
    // A registered handler re-validates the result and strips what the SDK does not know; a fallback is verbatim.
    server.fallbackRequestHandler = async (request, ctx) => {
      if (request.method === 'tools/call') return call(request.params, ctx as ServerContext);
      throw ProtocolError.fromError(-32601, 'Method not found', {});
    };
  }
  return server;
}
