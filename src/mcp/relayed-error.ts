import { ProtocolError } from '@modelcontextprotocol/server';

const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;
/** JSON-RPC's own range, all of it reserved; inside it only these say something about the call itself. */
const RESERVED = { from: -32768, to: -32000 };
const ABOUT_THE_CALL = new Set([INVALID_PARAMS, INTERNAL_ERROR]);
/** Without meaning of their own in either era. */
const IMPLEMENTATION = { from: -32019, to: -32000 };
/** Codes of the legacy era that must not appear in the modern one: resource not found, URL elicitation required. */
const LEGACY_ONLY = new Set([-32002, -32042]);

/**
 * An upstream's JSON-RPC error for our client. Its codes about the protocol concern the hop between it and us: bare,
 * they would tell the client something false about ours.
 */
export function relayedError(era: 'legacy' | 'modern', code: number, message: string, data: unknown): ProtocolError {
  const reserved = code >= RESERVED.from && code <= RESERVED.to;
  const plain = ABOUT_THE_CALL.has(code) || (code >= IMPLEMENTATION.from && code <= IMPLEMENTATION.to);
  const fits = LEGACY_ONLY.has(code) ? era === 'legacy' : !reserved || plain;
  if (fits) return ProtocolError.fromError(code, message, data);
  const told = `The upstream answered with JSON-RPC error ${code}: ${message}`;
  return ProtocolError.fromError(INTERNAL_ERROR, told, { upstream: { code, message, data } });
}

export function unknownTool(name: string): ProtocolError {
  return ProtocolError.fromError(
    INVALID_PARAMS,
    `Unknown tool: ${name.slice(0, 200)}. List the tools again; names may have changed.`,
    {},
  );
}

export function invalidCursor(): ProtocolError {
  return ProtocolError.fromError(INVALID_PARAMS, 'Invalid cursor: begin again without one.', {});
}

/** Whatever else was thrown: its text stays inside. */
export function internalError(): ProtocolError {
  return ProtocolError.fromError(
    INTERNAL_ERROR,
    'Something failed inside the server. The log has the details; try again.',
    {},
  );
}
