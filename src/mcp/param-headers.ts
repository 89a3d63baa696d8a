import { differingParamHeader, type ParamHeader, paramHeadersOf } from '../core/param-headers.ts';
import type { UpstreamTool } from '../core/ports.ts';
import type { CatalogView } from '../flows/catalog-api.ts';

/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports#server-validation */
const HEADER_MISMATCH = -32020;

const known = new WeakMap<UpstreamTool, readonly ParamHeader[]>();

function wantedOf(tool: UpstreamTool): readonly ParamHeader[] {
  const wanted = known.get(tool) ?? paramHeadersOf(tool);
  known.set(tool, wanted);
  return wanted;
}

type Called = { name?: unknown; arguments?: unknown };

function wantedBy(view: CatalogView, { name, arguments: args }: Called): readonly ParamHeader[] {
  const called = view.tool(String(name), args);
  return called.found && called.definition ? wantedOf(called.definition) : [];
}

/** Whether the tool wants arguments repeated in headers, so that `refusedParamHeader` is to look at the call. */
export function wantsParamHeaders(view: CatalogView, called: Called): boolean {
  return wantedBy(view, called).length > 0;
}

type Call = { id?: unknown; method?: unknown; params?: Called };

/**
 * The refusal of a call of the modern era over HTTP whose `Mcp-Param-*` headers and arguments differ: whoever routed it
 * by a header was told something else than the upstream would be.
 */
export function refusedParamHeader(view: CatalogView, body: unknown, headers: Headers): Response | undefined {
  const { id, method, params } = body as Call;
  if (method !== 'tools/call' || typeof params?.name !== 'string') return undefined;
  const differing = differingParamHeader(wantedBy(view, params), params.arguments, headers);
  if (!differing) return undefined;
  const { header, path } = differing;
  const message = `The header Mcp-Param-${header} does not say what the argument ${path.join('.')} says. List the tools again, and repeat in that header what the argument holds.`;
  return Response.json({ jsonrpc: '2.0', id: id ?? null, error: { code: HEADER_MISMATCH, message } }, { status: 400 });
}
