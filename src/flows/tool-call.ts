import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { toAppError } from '../core/errors.ts';
import type { Log, ToolkitCall } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { Catalog } from './catalog-api.ts';

export type ToolCallDeps = {
  catalog: Pick<Catalog, 'resolve'>;
  /** Where a person opens the portal. */
  publicUrl: string;
  log: Log;
};

export type ToolCallOutcome =
  /** The upstream's result, or ours with `isError` when the connection failed. */
  | { type: 'result'; result: Record<string, unknown>; outputSchema: Record<string, unknown> | undefined }
  | { type: 'unknown_tool'; name: string }
  /** The upstream's own JSON-RPC error, relayed. */
  | { type: 'rpc_error'; code: number; message: string; data: unknown }
  | { type: 'cancelled' };

export interface ToolCall {
  call(
    principal: Principal,
    publishedName: string,
    params: Record<string, unknown>,
    call: Omit<ToolkitCall, 'principal'>,
  ): Promise<ToolCallOutcome>;
}

type Action = 'connect' | 'retry_later' | 'check_configuration' | 'check_then_retry';

const ACTIONS: Partial<Record<ErrorCode, Action>> = {
  needs_person: 'connect',
  unavailable: 'retry_later',
  upstream_unreachable: 'retry_later',
  database_unavailable: 'retry_later',
  timeout: 'check_then_retry',
  egress_refused: 'check_configuration',
  upstream_failed: 'check_configuration',
  invalid_config: 'check_configuration',
};

const ADVICE: Record<Action, string> = {
  connect: 'Ask the user to open this page and connect it again, then repeat the call',
  retry_later: 'Try again in a while; if it stays like this, the user can look here',
  check_configuration: 'The user can check the connection here',
  check_then_retry: 'Check whether the call took effect before you repeat it; the user can look here',
};

/** The key of `_meta` that carries a connection's failure for programs. */
export const ERROR_META = 'mcp-data-platform/error';

/**
 * A failed connection as a result that a model can act on: it names the state, what to do, and where. Where the tool
 * promises a shape of its structured content, ours would break the promise, and clients of the older SDK then hide
 * the text behind a validation error; so there it is found in `_meta` alone.
 */
export function connectionFailure(
  error: AppError,
  key: ConnectionKey,
  options: { publicUrl: string; outputSchema: boolean },
): Record<string, unknown> {
  const action = ACTIONS[error.code] ?? 'retry_later';
  const base = options.publicUrl.replace(/\/+$/, '');
  const url = `${base}/connections/${encodeURIComponent(key.kind)}/${encodeURIComponent(key.name)}`;
  const connection = { kind: key.kind, name: key.name };
  const failure = { code: error.code, connection, message: error.message, action, url };
  return {
    content: [{ type: 'text', text: `${error.message}\n${ADVICE[action]}: ${url}` }],
    ...(options.outputSchema ? {} : { structuredContent: { error: failure } }),
    isError: true,
    _meta: { [ERROR_META]: failure },
  };
}

/** The story of a tool call: name → connection → upstream → result. It touches no database. */
export function createToolCall(deps: ToolCallDeps): ToolCall {
  return {
    async call(principal, publishedName, params, call) {
      const target = deps.catalog.resolve(publishedName);
      if (!target) return { type: 'unknown_tool', name: publishedName };
      const outputSchema = target.definition.outputSchema as Record<string, unknown> | undefined;
      try {
        const result = await target.upstream.request(
          'tools/call',
          { ...params, name: target.tool },
          { ...call, principal: { actor: principal.actor } },
        );
        if (target.state !== 'ok') target.note(null);
        return { type: 'result', result, outputSchema };
      } catch (error) {
        if (call.signal.aborted) return { type: 'cancelled' };
        if (error instanceof RpcError) {
          return { type: 'rpc_error', code: error.code, message: error.message, data: error.data };
        }
        const failure = toAppError(error);
        const connection = connectionLabel(target.key);
        deps.log.warn('a tool call failed', { connection, tool: target.tool, code: failure.code, error });
        if (failure.code === 'needs_person' || failure.code === 'upstream_unreachable') target.note(failure);
        return {
          type: 'result',
          result: connectionFailure(failure, target.key, {
            publicUrl: deps.publicUrl,
            outputSchema: outputSchema !== undefined,
          }),
          outputSchema: undefined,
        };
      }
    },
  };
}
