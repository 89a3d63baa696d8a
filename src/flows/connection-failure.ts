import type { ConnectionKey } from '../core/connection.ts';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { isRecord } from '../core/json-shape.ts';

type Action = 'connect' | 'retry_later' | 'check_configuration' | 'check_then_retry';

const ACTIONS: Partial<Record<ErrorCode, Action>> = {
  needs_person: 'connect',
  unavailable: 'retry_later',
  overloaded: 'retry_later',
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
const ERROR_META = 'mcp-data-platform/error';

/** A failed connection for programs: its state, what to do, and where. */
export type ConnectionFailure = {
  code: ErrorCode;
  connection: { kind: string; name: string };
  message: string;
  action: Action;
  url: string;
};

export function connectionFailure(error: AppError, key: ConnectionKey, publicUrl: string): ConnectionFailure {
  const base = publicUrl.replace(/\/+$/, '');
  const url = `${base}/connections/${encodeURIComponent(key.kind)}/${encodeURIComponent(key.name)}`;
  const connection = { kind: key.kind, name: key.name };
  // When to come again is said only of what may be done twice.
  const action = (error.retry_after === undefined ? ACTIONS[error.code] : undefined) ?? 'retry_later';
  return { code: error.code, connection, message: error.message, action, url };
}

/** What a model reads of it. */
export function failureText({ message, action, url }: ConnectionFailure): string {
  return `${message}\n${ADVICE[action]}: ${url}`;
}

/**
 * A failed connection as a result that a model can act on. Where the tool promises a shape of its structured content,
 * ours would break the promise, and clients of the older SDK then hide the text behind a validation error; so there it
 * is found in `_meta` alone.
 */
export function failedResult(failure: ConnectionFailure, outputSchema: boolean): Record<string, unknown> {
  return {
    content: [{ type: 'text', text: failureText(failure) }],
    ...(outputSchema ? {} : { structuredContent: { error: failure } }),
    isError: true,
    _meta: { [ERROR_META]: failure },
  };
}

/** Programs follow the URL under that key, so nobody but us may write it. */
export function unforged(result: Record<string, unknown>): Record<string, unknown> {
  const { _meta } = result;
  if (!isRecord(_meta) || !(ERROR_META in _meta)) return result;
  const { [ERROR_META]: _forged, ...kept } = _meta;
  return { ...result, _meta: kept };
}
