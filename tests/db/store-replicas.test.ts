import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { openDatabase } from '../../src/db/open.ts';
import {
  claimOf,
  createConnected,
  due,
  event,
  lineage,
  NOON,
  refreshedChange,
  storesOf,
} from '../suites/store-fixture.ts';
import { openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';
import { deferred } from '../support/ports.ts';

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

  it('settle and claim past a row that another one has locked, and finish with it when it is free', async () => {
    const { stores } = storesOf(first.opened);
    const rows = [];
    for (const name of ['a', 'locked', 'z']) rows.push(await createConnected(stores, { kind: 'mcp', name }));
    const gate = deferred();
    const locked = deferred();
    const holder = second.db.transaction().execute(async (transaction) => {
      await transaction
        .selectFrom('connection_credentials')
        .select('name')
        .where('name', '=', 'locked')
        .forUpdate()
        .execute();
      locked.resolve();
      await gate.promise;
    });
    await locked.promise;
    const ended: string[] = [];
    const all = rows.map(async (row) => {
      const { key } = row;
      expect(await stores.credentials.claimIntent(claimOf(row, `of-${key.name}`))).toBe(true);
      const settled = await stores.credentials.settle({
        key,
        fence: lineage(row),
        change: refreshedChange(key.name),
        events: [event()],
      });
      expect(settled.applied).toBe(true);
      ended.push(key.name);
    });
    await vi.waitFor(() => expect(ended.sort()).toEqual(['a', 'z']));
    gate.resolve();
    await Promise.all([holder, ...all]);
    expect(ended).toEqual(['a', 'z', 'locked']);
  });
});
