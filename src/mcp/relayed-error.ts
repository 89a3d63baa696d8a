import { ProtocolError } from '@modelcontextprotocol/server';
import { type ConnectionFailure, failureText } from '../flows/connection-failure.ts';
import type { Era } from './exchange.ts';

export const INVALID_PARAMS = -32602;
const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;
export const MISSING_CLIENT_CAPABILITY = -32021;
/** Of the legacy era alone; in the modern one, an unknown resource is invalid params. */
const RESOURCE_NOT_FOUND = -32002;
export const URL_ELICITATION_REQUIRED = -32042;

/** JSON-RPC's own range, all of it reserved; inside it only these say something about the call itself. */
const RESERVED = { from: -32768, to: -32000 };
const ABOUT_THE_CALL: Record<Era, ReadonlySet<number>> = {
  legacy: new Set([METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR, RESOURCE_NOT_FOUND, URL_ELICITATION_REQUIRED]),
  modern: new Set([INVALID_PARAMS, INTERNAL_ERROR]),
};
/** Without meaning of their own in either era. */
const IMPLEMENTATION = { from: -32019, to: -32000 };

/**
 * An upstream's JSON-RPC error for our client. Its codes about the protocol concern the hop between it and us: bare,
 * they would tell the client something false about ours.
 */
export function relayedError(
  era: Era,
  code: number,
  message: string,
  data: unknown,
  capabilities: Record<string, unknown> = {},
): ProtocolError {
  if (era === 'modern' && code === MISSING_CLIENT_CAPABILITY) {
    const required = lacking(data, capabilities);
    if (required) return missingClientCapability(required);
  }
  if (era === 'modern' && code === RESOURCE_NOT_FOUND) return ProtocolError.fromError(INVALID_PARAMS, message, data);
  const reserved = code >= RESERVED.from && code <= RESERVED.to;
  const plain = ABOUT_THE_CALL[era].has(code) || (code >= IMPLEMENTATION.from && code <= IMPLEMENTATION.to);
  if (!reserved || plain) return ProtocolError.fromError(code, message, data);
  const told = `The upstream answered with JSON-RPC error ${code}: ${message}`;
  return ProtocolError.fromError(INTERNAL_ERROR, told, { upstream: { code, message, data } });
}

/** The upstream's complaint is our client's, too, only where that client really has not declared it. */
function lacking(data: unknown, capabilities: Record<string, unknown>): Record<string, unknown> | undefined {
  const { requiredCapabilities: required } = (data ?? {}) as { requiredCapabilities?: unknown };
  if (typeof required !== 'object' || required === null) return undefined;
  const declares = ([name, parts]: [string, unknown]) => {
    const declared = capabilities[name];
    if (typeof declared !== 'object' || declared === null) return false;
    return Object.keys(parts ?? {}).every((part) => part in declared);
  };
  return Object.entries(required).every(declares) ? undefined : (required as Record<string, unknown>);
}

/** The client has not declared what the upstream wants to ask it. */
export function missingClientCapability(requiredCapabilities: Record<string, unknown>): ProtocolError {
  const names = Object.keys(requiredCapabilities).join(', ');
  const text = `The upstream wants to ask the client something that it has not declared: ${names}.`;
  return ProtocolError.fromError(MISSING_CLIENT_CAPABILITY, text, { requiredCapabilities });
}

export function unknownItem(what: 'tool' | 'prompt' | 'resource', name: string): ProtocolError {
  const text = `Unknown ${what}: ${name.slice(0, 200)}. List the ${what}s again; names may have changed.`;
  return ProtocolError.fromError(INVALID_PARAMS, text, what === 'resource' ? { uri: name } : {});
}

export function invalidCursor(): ProtocolError {
  return ProtocolError.fromError(INVALID_PARAMS, 'Invalid cursor: begin again without one.', {});
}

export function invalidParams(text: string): ProtocolError {
  return ProtocolError.fromError(INVALID_PARAMS, text, {});
}

export function methodNotFound(): ProtocolError {
  return ProtocolError.fromError(METHOD_NOT_FOUND, 'Method not found', {});
}

/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr */
export function invalidRequestState(): ProtocolError {
  return ProtocolError.fromError(INVALID_PARAMS, 'Invalid or expired requestState', {
    reason: 'invalid_request_state',
  });
}

/** The state is right, and the call that it stands for is not open here any more. */
export function callGone(): ProtocolError {
  const text =
    'The call that this answer belongs to is no longer open: it took too long, was answered already, or the server changed. Send the request again without requestState.';
  return ProtocolError.fromError(INTERNAL_ERROR, text, { reason: 'call_gone', retryable: true });
}

/** A failed connection where the method has no result that could tell of it. */
export function connectionFailed(failure: ConnectionFailure): ProtocolError {
  return ProtocolError.fromError(INTERNAL_ERROR, failureText(failure), { error: failure });
}

export function cancelled(): ProtocolError {
  return ProtocolError.fromError(INTERNAL_ERROR, 'The call was cancelled.', {});
}

/** Whatever else was thrown: its text stays inside. */
export function internalError(): ProtocolError {
  return ProtocolError.fromError(
    INTERNAL_ERROR,
    'Something failed inside the server. The log has the details; try again.',
    {},
  );
}
