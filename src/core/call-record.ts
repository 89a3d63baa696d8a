import type { ErrorCode } from './errors.ts';
import { nestsDeeperThan } from './json-shape.ts';
import { storableJson } from './storable-text.ts';

/** How a call through a gateway can end. Closed: the database refuses any other. */
export const CALL_OUTCOMES = [
  'ok',
  'tool_error',
  'upstream_error',
  'input_required',
  'needs_person',
  'unavailable',
  'timeout',
  'cancelled',
  'refused',
  'internal',
] as const;
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

/** What the caller spoke: a revision of MCP with or without a handshake, or plain HTTP. */
export const CALL_ERAS = ['modern', 'legacy', 'http'] as const;
export type CallEra = (typeof CALL_ERAS)[number];

const OF_ERROR: Record<ErrorCode, CallOutcome> = {
  invalid_request: 'refused',
  unauthenticated: 'refused',
  forbidden: 'refused',
  not_found: 'refused',
  conflict: 'refused',
  managed_by_file: 'refused',
  payload_too_large: 'refused',
  egress_refused: 'refused',
  needs_person: 'needs_person',
  secret_required: 'needs_person',
  invalid_config: 'unavailable',
  discovery_failed: 'unavailable',
  registration_failed: 'unavailable',
  token_endpoint_failed: 'unavailable',
  upstream_unreachable: 'unavailable',
  database_unavailable: 'unavailable',
  unavailable: 'unavailable',
  overloaded: 'unavailable',
  upstream_failed: 'upstream_error',
  timeout: 'timeout',
  data_dir: 'internal',
  port_taken: 'internal',
  internal: 'internal',
};

/** What the record of a call says that failed on our side or on the way. */
export function outcomeOfError(code: ErrorCode): CallOutcome {
  return OF_ERROR[code];
}

/** `isError` of a tool's result (MCP, CallToolResult) is the tool's own word that it failed. */
export function outcomeOfResult(result: Record<string, unknown>): CallOutcome {
  if (result.resultType === 'input_required') return 'input_required';
  return result.isError === true ? 'tool_error' : 'ok';
}

/** The result of a tool that calls an HTTP API: beside `isError`, an error status in it is the API's own word. */
export function outcomeOfApiResult(result: Record<string, unknown>): CallOutcome {
  const status = (result.structuredContent as { status?: unknown } | undefined)?.status;
  const failed = result.isError !== true && typeof status === 'number';
  return failed ? outcomeOfStatus(status) : outcomeOfResult(result);
}

/** An HTTP status of the upstream, where a program talks to it through us. */
export function outcomeOfStatus(status: number): CallOutcome {
  return status >= 400 ? 'upstream_error' : 'ok';
}

const OCTETS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const MAX_MS = 0xffff_ffff_ffff;

/**
 * A UUID that sorts by its time, so that one index is the key, the order and the page of the records.
 * @param bytes random ones, of which it takes ten
 * @see https://www.rfc-editor.org/rfc/rfc9562#section-5.7
 */
export function timeOrderedId(ms: number, bytes: Uint8Array): string {
  const time = Math.min(Math.max(0, Math.floor(ms)), MAX_MS)
    .toString(16)
    .padStart(12, '0');
  let tail = '';
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[index] ?? 0;
    const marked = index === 0 ? 0x70 | (byte & 0x0f) : index === 2 ? 0x80 | (byte & 0x3f) : byte;
    tail += OCTETS[marked];
  }
  return `${time.slice(0, 8)}-${time.slice(8)}-${tail.slice(0, 4)}-${tail.slice(4, 8)}-${tail.slice(8)}`;
}

/** Not above any id of that millisecond: `id >= firstIdOf(since)` is `occurred_at >= since`. */
export function firstIdOf(ms: number): string {
  return timeOrderedId(ms, new Uint8Array(10));
}

const MAX_TEXT = 512;

/** As PostgreSQL can hold it: no NUL, no half of a surrogate pair, and not without end. */
export function storableText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return cut.toWellFormed().replaceAll('\0', '\ufffd');
}

/** Larger arguments are told by their size alone. In characters of their JSON. */
export const MAX_ARGUMENTS = 8_192;
/** Nobody reads deeper, and neither JSON nor the database takes any depth. */
const MAX_LEVELS = 100;

/** Arguments as jsonb can hold them, or why they are left out: too large, or nested too deep. */
export function storableArguments(value: unknown): unknown {
  const size = jsonSize(value);
  if (size > MAX_ARGUMENTS) return { omitted: `${size} characters` };
  if (nestsDeeperThan(value, MAX_LEVELS)) return { omitted: `nested more than ${MAX_LEVELS} levels deep` };
  const text = JSON.stringify(value) ?? 'null';
  return text.length > MAX_ARGUMENTS ? { omitted: `${text.length} characters` } : JSON.parse(storableJson(text));
}

/**
 * The size of a value as JSON in characters, without building the text: a result may be 10 MiB, and is only passed on.
 * What JSON escapes counts as one character. Without recursion, so that no depth can overflow the stack.
 */
export function jsonSize(value: unknown): number {
  let size = 0;
  const rest: unknown[] = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next === 'string') size += next.length + 2;
    else if (typeof next === 'number' || typeof next === 'boolean' || next === null) size += String(next).length;
    else if (Array.isArray(next)) {
      size += next.length + 1;
      for (const item of next) rest.push(item);
    } else if (typeof next === 'object') {
      size += 1;
      for (const [key, item] of Object.entries(next)) {
        size += key.length + 4;
        rest.push(item);
      }
    }
  }
  return size;
}
