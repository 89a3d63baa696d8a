import { RE2JS } from 're2js';

/** Longer ones come from generators that enumerate; RE2 compiles this much in a few milliseconds. */
const MAX_PATTERN = 2000;
const MAX_KEPT = 500;

const kept = new Map<string, RE2JS | undefined>();

function compiled(pattern: string): RE2JS | undefined {
  if (pattern.length > MAX_PATTERN) return undefined;
  try {
    return RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch {
    return undefined;
  }
}

/**
 * Whether the pattern of a foreign schema is found in the text, in time linear in its length; undefined where RE2 does
 * not know the pattern (look-around, back references) and only the upstream can tell.
 */
export function isFound(pattern: string, text: string): boolean | undefined {
  if (!kept.has(pattern)) {
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(pattern, compiled(pattern));
  }
  return kept.get(pattern)?.matcher(text).find();
}
