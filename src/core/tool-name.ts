/** Model APIs cap tool names at 60 to 64 characters; the smaller bound is safe everywhere. */
export const MAX_TOOL_NAME = 60;

const SEPARATOR = '__';
const UNSAFE = /[^A-Za-z0-9_.-]/g;
const HASH_LENGTH = 8;

/**
 * FNV-1a over the UTF-16 code units, twice with different offsets, as eight hexadecimal digits. It only has to tell
 * a few thousand names of one catalog apart; the name map refuses the collision that it cannot exclude.
 */
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(HASH_LENGTH, '0');
}

/**
 * The published name of an upstream's tool: `<prefix>__<tool>`, with characters outside the safe set replaced and the
 * whole cut to 60 characters with a stable hash when either was needed. Never split it again: the name map knows the
 * way back.
 */
export function publishedToolName(prefix: string, tool: string): string {
  const plain = `${prefix}${SEPARATOR}${tool}`;
  const safe = plain.replace(UNSAFE, '_');
  if (safe === plain && safe.length <= MAX_TOOL_NAME) return safe;
  const tail = `_${shortHash(plain)}`;
  return safe.slice(0, MAX_TOOL_NAME - tail.length) + tail;
}
