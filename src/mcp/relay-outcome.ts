import type { JSONRPCMessage, JSONRPCRequest } from '@modelcontextprotocol/client';
import { EgressError } from '../core/ports.ts';

export type RequestId = string | number;

/**
 * What came of one attempt to have a request answered by an owner. `answered`: the client has its answer, or wants none
 * any more. `not_run`: no server took it up. `unknown`: it may have run. A message: what to answer.
 */
export type Outcome = 'answered' | 'not_run' | 'unknown' | JSONRPCMessage;

/** Outside the range that JSON-RPC and MCP reserve: what it means is said in its message. */
export const OWNER_CHANGED_CODE = 1001;

const PROTOCOL_VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

/** They read, or open a session that nobody else sees: running one twice changes nothing. */
const REPEATABLE = new Set([
  'initialize',
  'server/discover',
  'ping',
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
]);

export function isModern(request: JSONRPCRequest): boolean {
  return typeof (request.params?._meta as Record<string, unknown> | undefined)?.[PROTOCOL_VERSION_KEY] === 'string';
}

export function isRepeatable(request: JSONRPCRequest): boolean {
  return REPEATABLE.has(request.method);
}

export function ownerChanged(id: RequestId): JSONRPCMessage {
  const message =
    'The server process changed while this request was under way, so its outcome is unknown. Send it again if that is safe.';
  return { jsonrpc: '2.0', id, error: { code: OWNER_CHANGED_CODE, message, data: { retryable: true } } };
}

/** What the failure to send a request says about the request. */
export function judge(error: unknown, request: JSONRPCRequest): Outcome {
  const status = statusOf(error);
  // A server that does not know us or our session ran nothing.
  if (status === 401 || status === 403 || (status === 404 && !isModern(request))) return 'not_run';
  if (status !== undefined) {
    // Without words of its own, 503 is a server that is starting or stopping, and takes nothing up.
    return errorInBody(error, request.id) ?? (status === 503 ? 'not_run' : ownerChanged(request.id));
  }
  return error instanceof EgressError && error.phase === 'not_sent' ? 'not_run' : 'unknown';
}

/** The JSON-RPC error in the body of an HTTP error, for the request that it answers. */
function errorInBody(error: unknown, id: RequestId): JSONRPCMessage | undefined {
  const text = (error as { data?: { text?: unknown } }).data?.text;
  if (typeof text !== 'string') return undefined;
  try {
    const body = JSON.parse(text) as { error?: { code?: unknown; message?: unknown; data?: unknown } };
    const { code, message, data } = body.error ?? {};
    if (typeof code !== 'number' || typeof message !== 'string') return undefined;
    return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } };
  } catch {
    return undefined;
  }
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { data?: { status?: unknown } }).data?.status;
  return typeof status === 'number' ? status : undefined;
}
