import { MOST_DEPTH, nestsDeeperThan } from '../core/json-shape.ts';
import { parseError } from './http-replies.ts';

const INVALID_REQUEST = -32600;

type Message = { id?: unknown };

/** The refusal of a message that nothing behind us could write again; undefined: it is not that deep. */
export function refusedDepth(message: unknown) {
  if (!nestsDeeperThan(message, MOST_DEPTH)) return undefined;
  const { id } = message as Message;
  const text = `The request is nested more than ${MOST_DEPTH} levels deep.`;
  const named = typeof id === 'string' || typeof id === 'number' ? id : null;
  return { jsonrpc: '2.0' as const, id: named, error: { code: INVALID_REQUEST, message: text } };
}

/** Shorter text cannot nest that deeply, as each level takes two characters. */
function mayNestDeeply(text: string): boolean {
  return text.length > 2 * MOST_DEPTH;
}

/** The message that a body holds, or the refusal of one that nobody behind us could read. */
export function readMessage(
  text: string,
): { message: unknown; refusal?: never } | { message?: never; refusal: Response } {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return { refusal: parseError() };
  }
  const tooDeep = mayNestDeeply(text) && refusedDepth(message);
  return tooDeep ? { refusal: Response.json(tooDeep, { status: 400 }) } : { message };
}
