import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { openDatabase } from '../../src/db/open.ts';
import { createConnected, due, NOON, storesOf } from '../suites/store-fixture.ts';
import { openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';

const ROWS = 60;

describe('two replicas on one PostgreSQL', () => {
  let first: Awaited<ReturnType<typeof openPostgresqlForTest>>;
  let second: OpenDatabase;
  beforeAll(async () => {
    first = await openPostgresqlForTest();
    await migrate(first.opened.db, { migrations, log: recordingLog() });
    second = await openDatabase({ ...testPorts(), dataDir: tmpdir(), databaseUrl: first.databaseUrl });
    const { stores } = storesOf(first.opened);
    for (let index = 0; index < ROWS; index += 1) {
      const schedule = { at: NOON + index, reason: 'access_token_expiring' };
      await createConnected(stores, { kind: 'mcp', name: `row-${index}` }, { schedule });
    }
  }, 60_000);
  afterAll(async () => {
    await second.close();
    await first.end();
  });

  it('never claim the same row, and lock no row that they do not return', async () => {
    const [a, b] = [storesOf(first.opened).stores, storesOf(second).stores];
    const claims = await Promise.all([a, b, a, b].map(({ credentials }) => credentials.claimDue(due({ limit: 10 }))));
    const claimed = claims.flat().map((one) => one.lock_key);
    expect(claims.map((claim) => claim.length)).toEqual([10, 10, expect.any(Number), expect.any(Number)]);
    expect(new Set(claimed).size).toBe(claimed.length);

    // Whatever one replica left, the other one gets, though rows that are held come up first in every window.
    const rest = await b.credentials.claimDue(due({ limit: ROWS }));
    const more = await a.credentials.claimDue(due({ limit: ROWS }));
    const all = [...claimed, ...rest.map((one) => one.lock_key), ...more.map((one) => one.lock_key)];
    expect(new Set(all).size).toBe(ROWS);
    expect(all).toHaveLength(ROWS);
  });
});
