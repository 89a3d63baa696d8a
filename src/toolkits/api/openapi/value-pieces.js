/**
 * A value as JSON texts that are each parsed in a millisecond or two. A part of a list or an object is the text of some of
 * its items or members, or one that is too large for that, with its name.
 * @typedef {string | { list: boolean, parts: (string | [name: string, value: Pieces])[] }} Pieces
 */

const PIECE_CHARACTERS = 131_072;
/** Far more than the operations that are listed; an object with millions takes seconds to build, whatever its size. */
const MAX_MEMBERS = 100_000;

export class TooManyMembers extends Error {}

/** @param {unknown} value @param {string} [text] its JSON @returns {Pieces} @throws {TooManyMembers} */
export function piecesOf(value, text = JSON.stringify(value)) {
  if (text.length <= PIECE_CHARACTERS || typeof value !== 'object' || value === null) return text;
  const list = Array.isArray(value);
  /** @type {(string | [string, Pieces])[]} */
  const parts = [];
  /** @type {string[]} */
  let some = [];
  let size = 0;
  const flush = () => {
    if (some.length > 0) parts.push(list ? `[${some.join(',')}]` : `{${some.join(',')}}`);
    some = [];
    size = 0;
  };
  const members = Object.entries(value);
  if (!list && members.length > MAX_MEMBERS) throw new TooManyMembers();
  for (const [name, member] of members) {
    const written = JSON.stringify(member);
    if (written.length > PIECE_CHARACTERS) {
      flush();
      parts.push([name, piecesOf(member, written)]);
      continue;
    }
    some.push(list ? written : `${JSON.stringify(name)}:${written}`);
    size += written.length;
    if (size > PIECE_CHARACTERS) flush();
  }
  flush();
  return { list, parts };
}
