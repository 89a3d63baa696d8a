// What a directory owes after a cut, held against what it still has.

/** @typedef {{ type: string, name?: string, attempt?: number, generation?: string, attempt_id?: string, files?: Record<string, string> }} Line */
/**
 * @typedef {object} Inspection
 * @property {Record<string, string | null>} access
 * @property {string[]} settled
 * @property {string[]} escrow
 * @property {number} unreadable
 * @property {string} fresh_generation
 * @property {Record<string, string>} files
 * @property {string[]} half_made
 */

/** Everything that was acknowledged since the file system was made. */
export function createLedger() {
  return {
    connections: new Set(),
    settled: new Set(),
    /** The newest acknowledged attempt of each connection. @type {Map<string, number>} */
    newest: new Map(),
    escrow: new Set(),
    highest: 0n,
    /** @type {Record<string, string>} */
    files: {},
  };
}

/** @typedef {ReturnType<typeof createLedger>} Ledger */

/** @param {Ledger} ledger @param {Line} line */
export function enter(ledger, line) {
  const { type, name = '', attempt = 0, generation = '0', attempt_id = '', files = {} } = line;
  if (type === 'connection') ledger.connections.add(name);
  if (type === 'escrowed') ledger.escrow.add(attempt_id);
  // From here on it may be there or not.
  if (type === 'clearing') ledger.escrow.delete(attempt_id);
  if (type === 'files' || type === 'served') Object.assign(ledger.files, files);
  if (type !== 'settled') return;
  ledger.settled.add(`${name}/${generation}`);
  ledger.newest.set(name, attempt);
  if (BigInt(generation) > ledger.highest) ledger.highest = BigInt(generation);
}

/** @param {Ledger} ledger */
export function owed(ledger) {
  return ledger.connections.size + ledger.settled.size + ledger.escrow.size + Object.keys(ledger.files).length;
}

/**
 * One sentence for each thing that was acknowledged and is not there, or is there and must not be.
 * @param {Ledger} ledger @param {Inspection} found @returns {string[]}
 */
export function losses(ledger, found) {
  const lost = [];
  for (const name of ledger.connections) if (!(name in found.access)) lost.push(`connection ${name} is gone`);
  const settled = new Set(found.settled);
  for (const row of ledger.settled) if (!settled.has(row)) lost.push(`settlement ${row} is gone`);
  for (const [name, attempt] of ledger.newest) {
    // A settlement may have been committed in the moment of the cut, and not been acknowledged.
    const expected = [`access-${name}-${attempt}`, `access-${name}-${attempt + 1}`];
    if (!expected.includes(found.access[name] ?? '')) lost.push(`${name} holds an older token than ${attempt}`);
  }
  const held = new Set(found.escrow);
  for (const id of ledger.escrow) if (!held.has(id)) lost.push(`escrow ${id} is gone`);
  if (found.unreadable > 0) lost.push(`${found.unreadable} escrow files cannot be read`);
  for (const [name, digest] of Object.entries(ledger.files)) {
    if (found.files[name] !== digest) lost.push(`${name} is not what it was`);
  }
  if (BigInt(found.fresh_generation) <= ledger.highest) lost.push('the generation sequence stepped back');
  for (const name of found.half_made) lost.push(`${name} was left behind`);
  return lost;
}
