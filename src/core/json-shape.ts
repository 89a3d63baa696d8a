/** An object of JSON: no list, no `null`. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Deeper JSON is refused wherever it comes from: what reads or writes JSON step by step into the depth overflows the stack. */
export const MOST_DEPTH = 1_000;

/** Level by level, so that no depth can overflow the stack; what is that deep, nobody downstream can serialise. */
export function nestsDeeperThan(value: unknown, levels: number): boolean {
  let level: object[] = typeof value === 'object' && value !== null ? [value] : [];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > levels) return true;
    const next: object[] = [];
    for (const node of level) {
      for (const child of Object.values(node) as unknown[])
        if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
  return false;
}
