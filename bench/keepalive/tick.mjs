// What a look of the refresher costs at a database, as what is not due grows: `claimDue` and `nextDueAt`.
import { sql } from 'kysely';

const ROUNDS = 41;
const DAY = 86_400_000;

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * @param {import('./seed.mjs').Opened} opened
 * @param {number} due how many connections are made due; they are given back after each look
 */
export async function measureTick({ opened, stores }, due) {
  const now = Date.now();
  await sql`update connection_credentials set next_refresh_at = ${new Date(now + DAY)}`.execute(opened.db);
  await sql`update connection_credentials set next_refresh_at = ${new Date(now - 1_000)}
    where name in (select name from connection_credentials order by lock_key limit ${sql.lit(due)})`.execute(opened.db);
  await sql`vacuum analyze connection_credentials`.execute(opened.db);
  const query = {
    now,
    lease_ms: 90_000,
    exclude_lock_keys: [],
    exclude_hosts: [],
    replica_id: 'bench',
    owner_wait_ms: 900_000,
    limit: 64,
  };
  /** @type {number[]} */
  const claims = [];
  /** @type {number[]} */
  const nexts = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now();
    const claimed = await stores.credentials.claimDue(query);
    const claimedAt = performance.now();
    await stores.credentials.nextDueAt();
    nexts.push(performance.now() - claimedAt);
    claims.push(claimedAt - begun);
    for (const { lock_key } of claimed) await opened.locker.unlock(lock_key);
    if (claimed.length !== Math.min(due, query.limit)) throw new Error(`${claimed.length} were claimed, of ${due} due`);
  }
  return { due, 'claimDue ms': Number(median(claims).toFixed(2)), 'nextDueAt ms': Number(median(nexts).toFixed(2)) };
}
