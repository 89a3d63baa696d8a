import { expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import * as fixture from '../suites/store-fixture.ts';
import { type Deferred, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE } from './world.ts';

const DOWN = () => Promise.reject(new AppError('database_unavailable', 'The database cannot be reached.'));

describeFlow('an answer that comes too late (lesson 8)', (world) => {
  /** A refresh of `f0` whose honest answer comes when the gate opens. */
  async function underway(): Promise<{ gate: Deferred<void>; result: Promise<unknown> }> {
    await world().connected();
    const gate = deferred();
    world().server.onRefresh(async (honest) => {
      const reply = honest();
      await gate.promise;
      return reply;
    });
    const { refresh } = await world().boot();
    const result = refresh();
    await world().sent(1);
    return { gate, result };
  }

  const disconnect = async () => {
    const row = await world().credential();
    await fixture.settle(world().stores, fixture.at(row), fixture.disconnectedChange);
  };
  const remove = async () => {
    const { incarnation } = await world().credential();
    await world().stores.connections.delete(KEY, incarnation, () => []);
  };

  it('never lands in a successor of the same name, and is revoked upstream', async () => {
    const { gate, result } = await underway();
    await remove();
    await fixture.create(world().stores);
    gate.resolve();
    await result;
    expect(await world().credential()).toMatchObject({ state: 'never_connected', token: null });
    expect(world().server.revoked).toEqual(['refresh-f0t1', 'access-f0t1']);
    expect(await world().eventTypes()).toEqual(['token_revoked_upstream', 'token_revoked_upstream']);
    expect(world().escrow.entries.size).toBe(0);
  });

  it('never lands in a connected successor, and leaves its grant alone', async () => {
    const { gate, result } = await underway();
    await remove();
    await world().connected('g0');
    gate.resolve();
    expect(await result).toEqual({ type: 'current' });
    expect(await world().accessToken()).toBe('access-g0t0');
    expect(world().server.revoked).toEqual([]);
  });

  it('is revoked upstream when the connection is gone altogether', async () => {
    const { gate, result } = await underway();
    await remove();
    gate.resolve();
    expect(await result).toEqual({ type: 'gone' });
    expect(world().server.revoked).toEqual(['refresh-f0t1', 'access-f0t1']);
  });

  it('does not resurrect a disconnected token, and is revoked upstream (traces 11, 12)', async () => {
    const { gate, result } = await underway();
    await disconnect();
    gate.resolve();
    expect(await result).toMatchObject({ type: 'revoked', revocation: { decided_by: 'person' } });
    expect(await world().accessToken()).toBeUndefined();
    expect(world().server.revoked).toEqual(['refresh-f0t1', 'access-f0t1']);
  });

  it('never lands after a Disconnect by way of the escrow either', async () => {
    await world().connected();
    const first = await world().boot({ credentials: { settle: DOWN } });
    await first.refresh();
    await disconnect();
    const second = await world().boot();
    await second.keeper.recover();
    expect((await world().credential()).state).toBe('revoked');
    expect(world().server.revoked).toEqual(['refresh-f0t1', 'access-f0t1']);
    expect(world().escrow.entries.size).toBe(0);
  });

  it('lets another replica wait until the owner is gone for long enough (rule 15)', async () => {
    const { server } = world();
    await world().connected();
    server.onRefresh(() => ({ type: 'unknown', error_class: 'reset' }));
    const a = await world().boot({ replica_id: 'replica-a' });
    await a.refresh();
    a.kill();
    const b = await world().boot({ replica_id: 'replica-b' });
    await world().pass(8 * MINUTE);
    expect(await b.refresh()).toMatchObject({ type: 'waiting', why: expect.stringContaining('another replica') });
    await world().pass(HOUR);
    expect(await b.refresh()).toEqual({ type: 'refreshed' });
  });

  it('lets another replica present at once when the owner has come back and holds nothing (rule 15a)', async () => {
    const { server } = world();
    await world().connected();
    server.onRefresh(() => ({ type: 'unknown', error_class: 'reset' }));
    const a = await world().boot({ replica_id: 'replica-a' });
    await a.refresh();
    const again = await world().boot({ replica_id: 'replica-a' });
    await again.keeper.recover();
    const b = await world().boot({ replica_id: 'replica-b' });
    await world().pass(90_000);
    expect(await b.refresh()).toEqual({ type: 'refreshed' });
  });
});
