import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import { type OpenDatabase, openDatabase } from '../../src/db/open.ts';
import { openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';
import { createWorld } from './world.ts';

let first: Awaited<ReturnType<typeof openPostgresqlForTest>>;
const others: OpenDatabase[] = [];

beforeAll(async () => {
  first = await openPostgresqlForTest();
  await migrate(first.opened.db, { migrations, log: recordingLog() });
  for (const _replica of [2, 3]) {
    others.push(await openDatabase({ ...testPorts(), dataDir: tmpdir(), databaseUrl: first.databaseUrl }));
  }
});
afterAll(async () => {
  for (const opened of others) await opened.close();
  await first.end();
});

it('three replicas with fifty callers and a loop each refresh one token once (lesson 2)', async () => {
  const world = await createWorld(first.opened);
  await world.connected();
  const replicas = await Promise.all(
    [first.opened, ...others].map(async ({ locker, notifier }, index) =>
      world.boot({ replica_id: `replica-${index}`, locker, notifier, clock: systemClock }),
    ),
  );
  const { generation } = await world.credential();
  const calls = replicas.flatMap((replica) =>
    Array.from({ length: 50 }, () => replica.refresh({ reason: 'tool_call', generation })),
  );
  const results = await Promise.all(calls);
  expect(new Set(results.map(({ type }) => type))).toEqual(new Set(['refreshed', 'current']));
  expect(world.server.presented).toHaveLength(1);
  expect(await world.accessToken()).toBe('access-f0t1');
  expect(await world.eventTypes()).toEqual(['refresh_succeeded']);
  for (const { locker } of [first.opened, ...others]) {
    const { lock_key } = await world.credential();
    expect(await locker.tryLock(lock_key)).toBe(true);
    await locker.unlock(lock_key);
  }
});
