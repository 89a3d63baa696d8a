import {
  type CallOutcome,
  jsonSize,
  outcomeOfApiResult,
  outcomeOfError,
  outcomeOfResult,
} from '../core/call-record.ts';
import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { CallBeginning, CallRecorder, Log, ToolkitCall } from '../core/ports.ts';
import { publishedUri, withMappedResult } from '../core/resource-uri.ts';
import { RpcError } from '../core/rpc-error.ts';
import { recorded } from './call-records.ts';
import type { Catalog, Target, ToolLookup, Viewer } from './catalog-api.ts';
import { type ConnectionFailure, connectionFailure, failedResult, unforged } from './connection-failure.ts';

export type ToolCallDeps = {
  catalog: Pick<Catalog, 'view'>;
  calls: CallRecorder;
  /** Where a person opens the portal. */
  publicUrl: string;
  log: Log;
};

/** What one JSON-RPC request of a client asks of one connection. */
export const FORWARDED_METHODS = ['tools/call', 'prompts/get', 'resources/read', 'completion/complete'] as const;
export type ForwardedMethod = (typeof FORWARDED_METHODS)[number];

export type ToolCallOutcome =
  /** The upstream's result, or ours with `isError` when a tool's connection failed. */
  | { type: 'result'; result: Record<string, unknown>; outputSchema: Record<string, unknown> | undefined }
  /** The upstream wants the client's input first. */
  | { type: 'input_required'; result: Record<string, unknown>; key: ConnectionKey }
  | { type: 'unknown'; what: 'tool' | 'prompt' | 'resource'; name: string }
  /** The connection failed, and the method's results have no place to say so. */
  | { type: 'failed'; failure: ConnectionFailure }
  /** The upstream's own JSON-RPC error, relayed. */
  | { type: 'rpc_error'; code: number; message: string; data: unknown; key: ConnectionKey }
  | { type: 'cancelled' };

export interface ToolCall {
  /** Which connection a request leads to; undefined: none. */
  target(viewer: Viewer, method: ForwardedMethod, params: Record<string, unknown>): ConnectionKey | undefined;
  call(
    viewer: Viewer,
    method: ForwardedMethod,
    params: Record<string, unknown>,
    call: Omit<ToolkitCall, 'principal'>,
  ): Promise<ToolCallOutcome>;
}

function textResult(text: string): ToolCallOutcome {
  return { type: 'result', result: { content: [{ type: 'text', text }], isError: true }, outputSchema: undefined };
}

/** What is answered without asking an upstream; `as`: of which connection, tool and outcome a record tells. */
type Unsent = { answer: ToolCallOutcome; as?: { key: ConnectionKey; tool: string; outcome: CallOutcome } };

type Found = {
  target: Target;
  params: Record<string, unknown>;
  outputSchema?: Record<string, unknown> | undefined;
  /** For the log alone. */
  what: string;
};

class Caller implements ToolCall {
  readonly #deps: ToolCallDeps;

  constructor(deps: ToolCallDeps) {
    this.#deps = deps;
  }

  target(viewer: Viewer, method: ForwardedMethod, params: Record<string, unknown>): ConnectionKey | undefined {
    const found = this.#find(viewer, method, params);
    return 'answer' in found ? undefined : found.target.key;
  }

  async call(
    viewer: Viewer,
    method: ForwardedMethod,
    params: Record<string, unknown>,
    call: Omit<ToolkitCall, 'principal'>,
  ): Promise<ToolCallOutcome> {
    const found = this.#find(viewer, method, params);
    if ('answer' in found) {
      const { answer, as } = found;
      if (as) this.#deps.calls.begin(whose(viewer, method, as.key, as.tool, call))({ outcome: as.outcome });
      return answer;
    }
    const { target } = found;
    try {
      const principal = { actor: viewer.principal.actor };
      const result = await recorded(
        this.#deps.calls,
        beginning(viewer, method, found, call),
        call.signal,
        () => target.upstream.request(method, found.params, { ...call, principal }),
        (answer) => {
          const judge = target.key.kind === 'api' ? outcomeOfApiResult : outcomeOfResult;
          return { outcome: judge(answer), response_bytes: jsonSize(answer) };
        },
      );
      target.note(null);
      if (result.resultType === 'input_required') return { type: 'input_required', result, key: target.key };
      return { type: 'result', result: mapped(method, unforged(result), target), outputSchema: found.outputSchema };
    } catch (error) {
      if (call.signal.aborted) return { type: 'cancelled' };
      return this.#failed(method, found, error);
    }
  }

  #find(viewer: Viewer, method: ForwardedMethod, params: Record<string, unknown>): Found | Unsent {
    const view = this.#deps.catalog.view(viewer);
    if (method === 'tools/call') {
      const name = String(params.name);
      const lookup = view.tool(name, params.arguments);
      if (!lookup.found) return this.#noTool(name, lookup);
      const { tool, definition, arguments: given } = lookup;
      return {
        target: lookup,
        params: { ...params, name: tool, ...(given === undefined ? {} : { arguments: given }) },
        outputSchema: definition?.outputSchema as Record<string, unknown> | undefined,
        what: tool,
      };
    }
    if (method === 'prompts/get') {
      const target = view.prompt(String(params.name));
      if (!target) return unknown('prompt', String(params.name));
      return { target, params: { ...params, name: target.name }, what: target.name };
    }
    if (method === 'resources/read') {
      const target = view.resource(String(params.uri));
      if (!target) return unknown('resource', String(params.uri));
      return { target, params: { ...params, uri: target.uri }, what: 'a resource' };
    }
    const ref = (params.ref ?? {}) as { type?: unknown; name?: unknown; uri?: unknown };
    if (ref.type === 'ref/prompt') {
      const target = view.prompt(String(ref.name));
      if (!target) return unknown('prompt', String(ref.name));
      return { target, params: { ...params, ref: { ...ref, name: target.name } }, what: target.name };
    }
    const target = view.resource(String(ref.uri));
    if (!target) return unknown('resource', String(ref.uri));
    return { target, params: { ...params, ref: { ...ref, uri: target.uri } }, what: 'a template' };
  }

  #noTool(name: string, lookup: Exclude<ToolLookup, { found: true }>): Unsent {
    if (lookup.reason === 'unknown') return unknown('tool', name);
    if (lookup.reason === 'which_connection') {
      const { argument, connections } = lookup;
      const text = `The argument ${argument} must name one of these connections: ${connections.join(', ')}.`;
      return { answer: textResult(text) };
    }
    const { key, tool } = lookup;
    if (lookup.reason === 'denied') return { ...unknown('tool', name), as: { key, tool, outcome: 'refused' } };
    const text = `The tools of ${connectionLabel(key)} have not been listed yet: its upstream is being asked for them.`;
    const failure = lookup.failure ?? new AppError('unavailable', text);
    const result = failedResult(connectionFailure(failure, key, this.#deps.publicUrl), false);
    const answer: ToolCallOutcome = { type: 'result', result, outputSchema: undefined };
    return { answer, as: { key, tool, outcome: outcomeOfError(failure.code) } };
  }

  #failed(method: ForwardedMethod, { target, outputSchema, what }: Found, error: unknown): ToolCallOutcome {
    const { key } = target;
    if (error instanceof RpcError) {
      target.note(null);
      return { type: 'rpc_error', code: error.code, message: error.message, data: error.data, key };
    }
    const failed = toAppError(error);
    this.#deps.log.warn('a call of an upstream failed', {
      connection: connectionLabel(key),
      method,
      what,
      code: failed.code,
      error,
    });
    if (failed.code === 'needs_person' || failed.code === 'upstream_unreachable') target.note(failed);
    const failure = connectionFailure(failed, key, this.#deps.publicUrl);
    if (method !== 'tools/call') return { type: 'failed', failure };
    return { type: 'result', result: failedResult(failure, outputSchema !== undefined), outputSchema: undefined };
  }
}

function unknown(what: 'tool' | 'prompt' | 'resource', name: string): Unsent {
  return { answer: { type: 'unknown', what, name } };
}

/** One tool for all operations of an API says by this argument which one it is. */
function operationOf(args: unknown): string | undefined {
  const id = (args as { operation_id?: unknown } | null | undefined)?.operation_id;
  return typeof id === 'string' ? id : undefined;
}

function whose(
  { principal }: Viewer,
  method: ForwardedMethod,
  key: ConnectionKey,
  tool: string,
  { client }: Pick<ToolkitCall, 'client'>,
): CallBeginning {
  return {
    key,
    actor: principal.actor,
    method,
    tool: method === 'tools/call' ? tool : undefined,
    era: client?.session ? 'legacy' : 'modern',
  };
}

function beginning(
  viewer: Viewer,
  method: ForwardedMethod,
  { target, params, what }: Found,
  call: Pick<ToolkitCall, 'client'>,
): CallBeginning {
  return {
    ...whose(viewer, method, target.key, what, call),
    operation: operationOf(params.arguments),
    request_bytes: jsonSize(params),
    arguments: params.arguments,
  };
}

/** In the merged list, whatever leads to a resource of the upstream leads there under its published URI. */
function mapped(method: ForwardedMethod, result: Record<string, unknown>, { prefix }: Target): Record<string, unknown> {
  if (prefix === undefined) return result;
  return withMappedResult(method, result, (uri) => publishedUri(prefix, uri));
}

/** The story of a call: name → connection → upstream → result. It touches no database. */
export function createToolCall(deps: ToolCallDeps): ToolCall {
  return new Caller(deps);
}
