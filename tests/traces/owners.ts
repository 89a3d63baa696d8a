import { expect } from 'vitest';
import { acquireOwnership } from '../../src/db/embedded/owner-lock.ts';
import { readReplicaIdentity } from '../../src/db/replica-identity.ts';
import { never, type World } from '../flows/world.ts';
import {
  diesAfterClaim,
  HOUR,
  heard,
  holdRefresh,
  inDirectory,
  MINUTE,
  nearExpiry,
  presented,
  type Run,
} from './stage.ts';

/** Killed while its request is under way, which the provider has processed already or never will. */
async function killedInFlight(world: World, processed: 'processed' | 'unprocessed'): Promise<string | undefined> {
  const process = await world.boot();
  world.server.onRefresh((honest) => {
    if (processed === 'processed') honest();
    return never();
  });
  void process.refresh();
  await world.sent(1);
  process.kill();
  return (await world.credential()).intent?.attempt_id;
}

/** Processes that end, start and stop. */
export const OWNERS = {
  async '23'(world) {
    await inDirectory(async (directory) => {
      const first = await acquireOwnership(directory);
      await nearExpiry(world);
      const owner = await world.boot();
      const gate = holdRefresh(world, 'then');
      const refreshing = owner.refresh();
      await world.sent(1);
      await world.clock.advance(30_000);
      await refreshing;
      await world.pass(2 * MINUTE);
      const second = await acquireOwnership(directory);
      if (second.owned) {
        const process = await world.boot();
        await process.keeper.recover();
        await process.refresh();
      }
      expect(presented(world), 'I1: the second process presents nothing').toEqual(['refresh-f0t0']);
      gate.resolve();
      await heard(owner);
      expect(await world.accessToken()).toBe('access-f0t1');
      if (first.owned) await first.release();
      const successor = await acquireOwnership(directory);
      expect(successor.owned).toBe(true);
      if (successor.owned) await successor.release();
    });
  },

  async '23b'(world) {
    await nearExpiry(world);
    await killedInFlight(world, 'unprocessed');
    const next = await world.boot();
    await next.keeper.recover();
    await world.pass(10_000);
    await next.refresh();
    expect(presented(world), 'I2: t0 is presented once within the lease').toEqual(['refresh-f0t0']);
    await world.pass(90_000);
    expect(await next.refresh()).toEqual({ type: 'refreshed' });
  },

  async 'rule 4'(world) {
    const { random } = world;
    await inDirectory(async (dataDir) => {
      await nearExpiry(world);
      await diesAfterClaim(world, await readReplicaIdentity({ dataDir, random }));
      const next = await world.boot({ replica_id: await readReplicaIdentity({ dataDir, random }) });
      await next.keeper.recover();
      await world.pass(8 * MINUTE);
      expect(await next.refresh(), 'I5: its owner is back, and refreshes').toEqual({ type: 'refreshed' });
    });
  },

  async 'rule 16'(world) {
    await world.connected();
    const attempt_id = await killedInFlight(world, 'unprocessed');
    await world.pass(2 * HOUR);
    const next = await world.boot();
    expect(await next.refresh()).toEqual({ type: 'refreshed' });
    expect(presented(world)).toEqual(['refresh-f0t0', 'refresh-f0t0']);
    expect(await world.events(), 'I2: the repetition follows a recorded ambiguous attempt').toMatchObject([
      { event_type: 'refresh_failed_transient', detail: { ambiguous: true, step: 'interrupted', attempt_id } },
      { event_type: 'refresh_succeeded' },
    ]);
  },

  async 'rule 17'(world) {
    await world.connected();
    await killedInFlight(world, 'processed');
    await world.pass(2 * HOUR);
    const next = await world.boot();
    expect(await next.refresh(), 'I4: the loss is told as what it is').toMatchObject({
      type: 'revoked',
      revocation: { reason: 'rotation_outcome_lost', decided_by: 'idp' },
    });
    expect(await world.eventTypes()).toEqual([
      'refresh_failed_transient',
      'refresh_failed_revoked',
      'token_deleted_revoked',
    ]);
  },

  async 'rule 21'(world) {
    const { stores, escrow, clock } = world;
    await world.connected();
    let ended = false;
    const process = await world.boot({
      escrow: { write: (entry) => (ended ? never() : escrow.write(entry)) },
      credentials: { settle: (settlement) => (ended ? never() : stores.credentials.settle(settlement)) },
    });
    const gate = holdRefresh(world, 'before');
    void process.refresh();
    await world.sent(1);
    const stopping = process.door.stop().then(() => {
      ended = true;
    });
    await clock.advance(MINUTE / 2);
    gate.resolve();
    for (let looks = 0; looks < 50 && !ended; looks += 1) {
      await clock.advance(250);
      await world.credential();
    }
    await stopping;
    expect(await world.accessToken(), 'I1: the reply is stored before the end').toBe('access-f0t1');
    expect(presented(world)).toEqual(['refresh-f0t0']);
  },
} satisfies Record<string, Run>;
