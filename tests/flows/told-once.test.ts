import { expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { tokens } from '../suites/store-fixture.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE, never } from './world.ts';

const DOWN = () => Promise.reject(new AppError('database_unavailable', 'The database cannot be reached.'));

/** Each of these was found by the simulation: its schedules are in `tests/simulation`. */
describeFlow('an attempt whose outcome is unknown', (world) => {
  const attempts = async () =>
    (await world().events()).map(({ event_type, detail }) => [event_type, detail.attempt_id]);

  /** A process that is killed while its request is on the wire; the id of its attempt. */
  async function killedInFlight(): Promise<string | undefined> {
    const { server } = world();
    const process = await world().boot();
    const before = server.presented.length;
    server.onRefresh(never);
    void process.refresh();
    await world().sent(before + 1);
    process.kill();
    const { intent } = await world().credential();
    await world().pass(HOUR);
    return intent?.attempt_id;
  }

  it('is told of before its repetition, also when an earlier one is on record (rule 16)', async () => {
    await world().connected();
    const first = await killedInFlight();
    const second = await killedInFlight();
    const { refresh } = await world().boot();
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect((await attempts()).slice(0, 2)).toEqual([
      ['refresh_failed_transient', first],
      ['refresh_failed_transient', second],
    ]);
    expect(world().server.presented).toHaveLength(3);
  });

  it('is told of before the claim that takes its place, so that no crash comes between the two', async () => {
    await world().connected();
    const first = await killedInFlight();
    const { refresh } = await world().boot({ credentials: { claimIntent: never } });
    void refresh();
    await expect.poll(attempts).toEqual([['refresh_failed_transient', first]]);
    expect((await world().credential()).intent?.attempt_id).toBe(first);
  });
});

describeFlow('an attempt at a token that names no end', (world) => {
  it('is resolved by the loop when its process ends, although nothing was due (rule 14)', async () => {
    const { stores, server } = world();
    await world().connected('f0', KEY, { token_set: tokens('f0t0', { expires_at: null }), schedule: null });
    const process = await world().boot();
    server.onRefresh(never);
    void process.refresh();
    await world().sent(1);
    process.kill();
    await world().pass(10 * MINUTE);
    const next = await world().boot();
    server.onRefresh((honest) => {
      honest();
      return answer({ access_token: 'access', refresh_token: 'refresh' });
    });
    await next.keepalive.runOnce();
    await world().sent(2);
    await expect.poll(async () => (await world().credential()).intent).toBeNull();
    expect(await world().eventTypes()).toEqual(['refresh_failed_transient', 'refresh_succeeded']);
    expect(await stores.credentials.nextDueAt()).toBeNull();
    await next.keepalive.stop();
  });
});

describeFlow('an answer in the escrow', (world) => {
  it('is replayed once, by whoever comes upon it first, and the others wait for that', async () => {
    const { stores } = world();
    await world().connected();
    world().server.onRefresh(() => answer('<html>', { status: 500, media_type: 'text/html' }));
    const first = await world().boot({ credentials: { settle: DOWN } });
    await first.refresh();
    first.kill();
    await world().pass(MINUTE);
    let settling = 0;
    const second = await world().boot({
      credentials: {
        async settle(settlement) {
          settling += 1;
          return stores.credentials.settle(settlement);
        },
      },
    });
    await Promise.all([second.keeper.recover(), second.refresh()]);
    expect(settling).toBe(1);
    expect(await world().eventTypes()).toEqual(['refresh_failed_transient']);
    expect((await world().credential()).failure?.count).toBe(1);
  });
});
