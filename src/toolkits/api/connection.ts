import { connectionLabel } from '../../core/connection.ts';
import { parseDuration } from '../../core/duration.ts';
import { toAppError } from '../../core/errors.ts';
import type { PlainRequest, ToolkitCall, ToolkitConnection, ToolkitContext, ToolkitTest } from '../../core/ports.ts';
import { EgressError } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { type AuthorizedFetch, createAuthorizedFetch } from '../authorized-fetch.ts';
import { createScrubberOf } from '../credential-scrub.ts';
import { unreachable } from '../unreachable.ts';
import {
  describeArguments,
  type InvokeArguments,
  invokeArguments,
  isSafe,
  listArguments,
  readArguments,
  readArgumentsOf,
} from './arguments.ts';
import { Deadlines } from './deadline.ts';
import { DescribedApi, type DescriptionState } from './described-api.ts';
import { type InvokeDeps, invoke } from './invoke.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Issue, Operation, ReadDescription } from './openapi/description.ts';
import type { Outgoing } from './outgoing.ts';
import { passThrough } from './passthrough.ts';
import { methodHints, refusedCall, type ToolResult, toolResult } from './result.ts';
import { API_TOOLS, TOOL } from './tools.ts';

const CALL_TIMEOUT_MS = 60_000;
const INVALID_PARAMS = -32_602;
const METHOD_NOT_FOUND = -32_601;

export type ApiConnectionDeps = {
  context: ToolkitContext;
  budget: MemoryBudget;
  read: ReadDescription;
};

function issuesText(issues: readonly { path: string; message: string }[]): string {
  return `Correct these arguments: ${issues.map(({ path, message }) => `${path} ${message}`).join('; ')}.`;
}

function shownOperation(operation: Operation): Record<string, unknown> {
  const { id, method, path, summary, tags, deprecated } = operation;
  return { operation_id: id, method, path, summary, tags, deprecated, annotations: methodHints(method) };
}

const NO_DESCRIPTION =
  'This API has no description here. Call it by method and path with api_read_endpoint or api_invoke_endpoint; its own documentation tells the paths.';

function onlySafe(request: Outgoing): Issue | undefined {
  if (isSafe(request.method)) return undefined;
  const at = request.operation ? 'operation_id' : 'method';
  return { at, message: `is a ${request.method}, which may change something; call it with ${TOOL.invoke}` };
}

/** One HTTP API: the same few tools whatever its size. Nothing is kept open between calls but pooled sockets. */
export class ApiConnection implements ToolkitConnection {
  readonly #context: ToolkitContext;
  readonly #fetch: AuthorizedFetch;
  readonly #described: DescribedApi;
  readonly #invoking: InvokeDeps;
  readonly #closed = new AbortController();

  constructor({ context, budget, read }: ApiConnectionDeps) {
    const { config } = context;
    const timeout = parseDuration(config.call_timeout ?? '') ?? CALL_TIMEOUT_MS;
    this.#context = context;
    this.#fetch = createAuthorizedFetch(context, new URL(String(config.base_url)).origin);
    this.#described = new DescribedApi({ context, fetch: this.#fetch, read, budget, timeout });
    const deadlines = new Deadlines(context.clock);
    const scrubberOf = createScrubberOf(config);
    this.#invoking = { context, fetch: this.#fetch, budget, deadlines, scrubberOf, call_timeout: timeout };
  }

  async request(method: string, params: Record<string, unknown>, call: ToolkitCall): Promise<Record<string, unknown>> {
    if (method === 'tools/list') return this.#listTools();
    if (method === 'server/discover') return { capabilities: { tools: {} } };
    if (method !== 'tools/call') throw new RpcError(METHOD_NOT_FOUND, `An API has no ${method}.`, undefined);
    return this.#callTool(String(params.name), params.arguments ?? {}, call);
  }

  handle(request: PlainRequest, call: ToolkitCall): Promise<Response> {
    return passThrough(this.#invoking, request, call);
  }

  onChange(): void {
    // The tools are the same for ever.
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  async test(signal: AbortSignal): Promise<ToolkitTest> {
    const base_url = String(this.#context.config.base_url);
    try {
      const response = await this.#fetch(`${base_url}/`, { headers: { accept: '*/*' }, signal });
      await response.body?.cancel();
      const { status } = response;
      const state = await this.#described.refresh(signal).then(() => this.#described.current(signal));
      const details = { status, ...describedDetails(state) };
      if (status >= 500) {
        return { ok: false, message: `${base_url} answers with HTTP ${status}, an error of its own.`, details };
      }
      const known = describedSentence(state, this.#described.configured);
      const message = `${base_url} answers (HTTP ${status} at its root). ${known}`;
      return { ok: state.problem === null, message, details };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const label = connectionLabel(this.#context.key);
      const { code, message } = toAppError(error instanceof EgressError ? unreachable(error, label, true) : error);
      return { ok: false, message, details: { code } };
    }
  }

  /** The catalog asks at its interval; that is when the description is looked at again. */
  #listTools(): { tools: readonly object[] } {
    if (this.#described.configured) {
      this.#described.refresh(this.#closed.signal).catch((error: unknown) => {
        if (!this.#closed.signal.aborted) this.#context.log.warn('reading the description of an API', { error });
      });
    }
    return { tools: [...API_TOOLS] };
  }

  async #callTool(name: string, given: unknown, call: ToolkitCall): Promise<ToolResult> {
    switch (name) {
      case TOOL.list:
        return this.#list(given, call);
      case TOOL.describe:
        return this.#describe(given, call);
      case TOOL.read: {
        const read = readArgumentsOf(readArguments, given);
        if (!read.ok)
          return refusedCall(
            read.issues.map(({ path, message }) => ({ at: path, message })),
            null,
          );
        return this.#invoke(read.value, call, onlySafe);
      }
      case TOOL.invoke: {
        const read = readArgumentsOf(invokeArguments, given);
        if (!read.ok)
          return refusedCall(
            read.issues.map(({ path, message }) => ({ at: path, message })),
            null,
          );
        return this.#invoke(read.value, call, () => undefined);
      }
      default:
        throw new RpcError(INVALID_PARAMS, `There is no tool ${name}.`, undefined);
    }
  }

  async #invoke(
    args: InvokeArguments,
    call: ToolkitCall,
    only: (request: Outgoing) => Issue | undefined,
  ): Promise<ToolResult> {
    const described = args.operation_id === undefined ? this.#described.known : this.#described.current;
    const { description } = await described.call(this.#described, call.signal);
    return invoke(this.#invoking, description, args, call, only);
  }

  async #list(given: unknown, call: ToolkitCall): Promise<ToolResult> {
    const read = readArgumentsOf(listArguments, given);
    const nothing = { api: null, operations: [], total: 0, next_cursor: null };
    if (!read.ok) return toolResult({ ...nothing, hint: null, error: issuesText(read.issues) }, { isError: true });
    const { description, problem } = await this.#described.current(call.signal);
    if (!description) return toolResult({ ...nothing, hint: NO_DESCRIPTION, error: problem });
    const { query, limit, cursor } = read.value;
    const page = description.search(query, { limit, ...(cursor === undefined ? {} : { cursor }) });
    if (!page.ok) {
      const error = `cursor ${page.issue.message}`;
      return toolResult({ ...nothing, hint: 'Begin again without cursor.', error }, { isError: true });
    }
    const { title, version, format } = description;
    const none =
      page.total === 0 ? 'Nothing matches. Try fewer or other words; an empty query lists everything.' : null;
    return toolResult({
      api: { title, version, format },
      operations: page.operations.map(shownOperation),
      total: page.total,
      next_cursor: page.next_cursor ?? null,
      hint: none,
      error: problem,
    });
  }

  async #describe(given: unknown, call: ToolkitCall): Promise<ToolResult> {
    const read = readArgumentsOf(describeArguments, given);
    if (!read.ok) {
      return toolResult({ operation: null, hint: null, error: issuesText(read.issues) }, { isError: true });
    }
    const { description, problem } = await this.#described.current(call.signal);
    const operation = description?.find(read.value.operation_id);
    if (!description || !operation) {
      const hint = description ? `Look for it with ${TOOL.list}.` : NO_DESCRIPTION;
      const error = problem ?? 'There is no such operation in the description of this API.';
      return toolResult({ operation: null, hint, error }, { isError: true });
    }
    const { id, ...details } = description.describe(operation);
    const shown = { operation_id: id, ...details, annotations: methodHints(operation.method) };
    const tool = isSafe(operation.method) ? TOOL.read : TOOL.invoke;
    const hint = `Call it with ${tool} by this operation_id: parameters in path under path_params, those in query under query_params, those in header under headers, those in cookie under cookies, the request body as body.`;
    return toolResult({ operation: shown, hint, error: problem });
  }
}

function describedDetails({ description, problem }: DescriptionState): Record<string, unknown> {
  return {
    ...(description ? { title: description.title, format: description.format } : {}),
    operations: description?.operations.length ?? 0,
    ...(description && description.warnings.length > 0 ? { warnings: description.warnings.slice(0, 10) } : {}),
    ...(problem ? { description_problem: problem } : {}),
  };
}

function describedSentence({ description, problem }: DescriptionState, configured: boolean): string {
  if (problem) return problem;
  if (!description) return configured ? '' : 'It has no description: agents call it by method and path.';
  const count = description.operations.length;
  return `Its description offers ${count} ${count === 1 ? 'operation' : 'operations'}.`;
}
