/** Most clients read page after page; the bound keeps one answer at a size that all of them take. */
export const PAGE_SIZE = 250;

const CURSOR = /^v1:(\d{1,9})$/;

export type Page<T> = { items: readonly T[]; nextCursor?: string };

/**
 * One page of a list, under cursors of our own.
 * @returns undefined when the cursor is none that we gave.
 */
export function pageOf<T>(items: readonly T[], cursor: unknown): Page<T> | undefined {
  let start = 0;
  if (cursor !== undefined) {
    const found = CURSOR.exec(Buffer.from(String(cursor), 'base64url').toString('latin1'));
    if (!found) return undefined;
    start = Number(found[1]);
    // A list that became shorter meanwhile simply ends here.
    if (start === 0 || start % PAGE_SIZE !== 0) return undefined;
  }
  const end = start + PAGE_SIZE;
  if (end >= items.length) return { items: start === 0 ? items : items.slice(start) };
  return { items: items.slice(start, end), nextCursor: Buffer.from(`v1:${end}`, 'latin1').toString('base64url') };
}
