import { expect, it, vi } from 'vitest';
import { createRetention } from '../../src/flows/retention.ts';
import * as fixture from '../suites/store-fixture.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, HOUR, KEY } from './world.ts';

const DAY = 24 * HOUR;

describeFlow('the retention of events', (world) => {
  const openLocker = () => ({ tryLock: vi.fn(async () => true), unlock: vi.fn(async () => undefined) });
  function retention(more: Partial<Parameters<typeof createRetention>[0]> = {}) {
    const { stores, clock, log } = world();
    return createRetention({
      events: stores.events,
      consents: stores.consents,
      access: stores.access,
      calls: stores.calls,
      toolChanges: stores.toolChanges,
      locker: openLocker(),
      clock,
      log,
      event_retention: 30 * DAY,
      call_retention: 7 * DAY,
      ...more,
    });
  }

  it('deletes by age alone, and changes no state', async () => {
    const { stores, clock } = world();
    await world().connected();
    await stores.events.append(KEY, [fixture.event('connect_started'), fixture.event('connect_completed')]);
    await clock.advance(1);
    await stores.events.append(KEY, [fixture.event('refresh_failed_revoked')]);
    await clock.advance(30 * DAY);
    expect(await retention().runOnce()).toEqual({ events: 2 });
    expect(await world().eventTypes()).toEqual(['refresh_failed_revoked']);
    expect((await world().credential()).state).toBe('connected');
    expect(world().messages('info')).toEqual(['old events were deleted']);
    expect(await retention().runOnce()).toEqual({ events: 0 });
    expect(world().messages('info')).toHaveLength(1);
  });

  it('changes no status, even when it deletes every event', async () => {
    const { stores, clock } = world();
    const dead = { kind: 'mcp', name: 'dead' };
    await world().connected();
    await world().connected('f1', dead);
    world().server.kill('f1');
    const process = await world().boot();
    await process.refresh({ key: dead });
    world().server.onRefresh(async () => answer({ error: 'invalid_client' }, { status: 401 }));
    await process.refresh();
    const before = await process.connections.list();
    expect(before.map(({ oauth }) => [oauth?.state, oauth?.health])).toEqual([
      ['connected', 'client_misconfigured'],
      ['revoked', 'ok'],
    ]);
    expect(await stores.events.list({ limit: 100 })).not.toEqual([]);
    await stores.events.prune(clock.now() + DAY, 1_000);
    expect(await stores.events.list({ limit: 100 })).toEqual([]);
    expect(await process.connections.list()).toEqual(before);
  });

  it('goes on in batches of a thousand until a batch is not full', async () => {
    const batches = [1_000, 1_000, 7];
    const prune = vi.fn(async () => batches.shift() ?? 0);
    expect(await retention({ events: { prune } }).runOnce()).toEqual({ events: 2_007 });
    expect(prune).toHaveBeenCalledTimes(3);
    expect(prune).toHaveBeenCalledWith(world().clock.now() - 30 * DAY, 1_000);
  });

  it('prunes finished consents and sign-ins, too', async () => {
    const consents = { prune: vi.fn(async () => 0) };
    const access = { pruneExpired: vi.fn(async () => 0) };
    await retention({ consents, access }).runOnce();
    const now = world().clock.now();
    expect(consents.prune).toHaveBeenCalledWith(now);
    expect(access.pruneExpired).toHaveBeenCalledWith(now);
  });

  it('deletes the records of calls by their own age, in batches', async () => {
    const batches = [1_000, 3];
    const prune = vi.fn(async () => batches.shift() ?? 0);
    const toolChanges = { prune: vi.fn(async () => 0) };
    await retention({ calls: { prune }, toolChanges }).runOnce();
    expect(toolChanges.prune).toHaveBeenCalledWith(world().clock.now() - 30 * DAY, 1_000);
    expect(prune.mock.calls).toEqual([
      [world().clock.now() - 7 * DAY, 1_000],
      [world().clock.now() - 7 * DAY, 1_000],
    ]);
    expect(world().messages('info')).toEqual(['old records of calls were deleted']);
  });

  it('is the work of one replica at a time, which always gives the lock back', async () => {
    const prune = vi.fn(async () => 0);
    const held = { tryLock: async () => false, unlock: vi.fn(async () => undefined) };
    expect(await retention({ events: { prune }, locker: held }).runOnce()).toEqual({ events: 0 });
    expect(prune).not.toHaveBeenCalled();
    expect(held.unlock).not.toHaveBeenCalled();
    const locker = openLocker();
    const failing = retention({ events: { prune: () => Promise.reject(new Error('down')) }, locker });
    await expect(failing.runOnce()).rejects.toThrow('down');
    expect(locker.unlock).toHaveBeenCalledTimes(1);
    expect(locker.unlock.mock.calls).toEqual(locker.tryLock.mock.calls);
  });

  it('runs a minute after the start and then daily, over failures', async () => {
    const { clock } = world();
    const prune = vi.fn(async () => 0).mockRejectedValueOnce(new Error('down'));
    const running = retention({ events: { prune } });
    running.start();
    await vi.waitFor(() => expect(clock.sleeping).toEqual([60_000]));
    expect(prune).not.toHaveBeenCalled();
    await clock.advance(60_000);
    await vi.waitFor(() => expect(clock.sleeping).toEqual([DAY]));
    expect(world().messages('warn')).toEqual(['old events could not be deleted; tried again tomorrow']);
    await clock.advance(DAY);
    await vi.waitFor(() => expect(prune).toHaveBeenCalledTimes(2));
    await running.stop();
    await clock.advance(DAY);
    expect(prune).toHaveBeenCalledTimes(2);
  });
});
