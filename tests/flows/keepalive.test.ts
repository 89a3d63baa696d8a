import { expect, it, vi } from 'vitest';
import { deferred } from '../support/ports.ts';
import { binding, describeFlow, HOUR, MINUTE, NOON, never, type Process } from './world.ts';

const at = (minutes: number) => ({ at: NOON + minutes * MINUTE, reason: 'access_token_expiring' });
const idle = (process: Process) => vi.waitFor(() => expect(process.door.inFlight).toBe(0));

describeFlow('the refresher', (world) => {
  const key = (name: string) => ({ kind: 'mcp', name });
  const host = (name: string) => ({ binding: { ...binding, token_endpoint: `https://${name}/token` } });
  const tokens = () => world().server.presented.map(({ token }) => token);

  it('says by what it runs when it starts', async () => {
    const { keepalive } = await world().boot();
    keepalive.start();
    expect(world().messages('info')).toEqual([
      'connoauth: refresher started interval=5m0s access_lead=5m0s refresh_lead=1h0m0s',
    ]);
    await keepalive.stop();
  });

  it('refreshes what is due, soonest first, and nothing else', async () => {
    await world().connected('f0', key('later'), { schedule: at(30) });
    await world().connected('g0', key('never'), { schedule: null });
    await world().connected('h0', key('second'), { schedule: at(5) });
    await world().connected('i0', key('first'), { schedule: at(1) });
    const process = await world().boot();
    expect(await process.keepalive.runOnce()).toEqual({ started: 0 });
    await world().clock.advance(5 * MINUTE);
    expect(await process.keepalive.runOnce()).toEqual({ started: 2 });
    await idle(process);
    expect(tokens().sort()).toEqual(['refresh-h0t0', 'refresh-i0t0']);
    const [event] = await world().events(key('first'));
    expect(event).toMatchObject({ event_type: 'refresh_succeeded', actor: 'system:background-refresh' });
    expect(await process.keepalive.runOnce()).toEqual({ started: 0 });
  });

  it('never has more than its share in flight at one host, and serves the others meanwhile (lesson 13)', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await world().connected(`${name}0`, key(`hung-${name}`), { ...host('hung.example'), schedule: at(0) });
    }
    for (const name of ['x', 'y']) {
      await world().connected(`${name}0`, key(`quick-${name}`), { ...host('quick.example'), schedule: at(0) });
    }
    const process = await world().boot({ settings: { per_host: 2, in_flight: 4 } });
    const gate = deferred();
    const script = async (honest: Parameters<Parameters<typeof server.onRefresh>[0]>[0]) => {
      await gate.promise;
      return honest();
    };
    const { server } = world();
    const refresh = server.refresh.bind(server);
    server.refresh = async (client, request) => {
      const hung = client.binding.token_endpoint.includes('hung');
      if (hung) server.onRefresh(script);
      return refresh(client, request);
    };
    await process.keepalive.runOnce();
    await vi.waitFor(async () => {
      await process.keepalive.runOnce();
      expect(await world().accessToken(key('quick-x'))).toBe('access-x0t1');
      expect(await world().accessToken(key('quick-y'))).toBe('access-y0t1');
    });
    const hung = () => server.presented.filter(({ client }) => client.binding.token_endpoint.includes('hung'));
    expect(hung()).toHaveLength(2);
    gate.resolve();
    await vi.waitFor(async () => {
      await process.keepalive.runOnce();
      expect(hung()).toHaveLength(4);
    });
    await idle(process);
  });

  it('counts attempts per host: the third waits until one of two has ended', async () => {
    for (const name of ['a', 'b', 'c']) {
      await world().connected(`${name}0`, key(`c-${name}`), { schedule: at(0) });
    }
    const process = await world().boot({ settings: { per_host: 2, in_flight: 2 } });
    const gate = deferred();
    world().server.onRefresh(
      async (honest) => {
        await gate.promise;
        return honest();
      },
      async (honest) => {
        await gate.promise;
        return honest();
      },
    );
    await process.keepalive.runOnce();
    await world().sent(2);
    expect(await process.keepalive.runOnce()).toEqual({ started: 0 });
    expect(process.door.inFlight).toBe(2);
    gate.resolve();
    await idle(process);
    expect(await process.keepalive.runOnce()).toEqual({ started: 1 });
    await world().sent(3);
    await idle(process);
  });

  it('looks for nothing while it is full, and at once when a place is free', async () => {
    const { clock, stores, server } = world();
    for (const name of ['a', 'b', 'c']) await world().connected(`${name}0`, key(`c-${name}`), { schedule: at(0) });
    let looks = 0;
    const claimDue: typeof stores.credentials.claimDue = (query) => {
      looks += 1;
      return stores.credentials.claimDue(query);
    };
    const process = await world().boot({ settings: { in_flight: 2 }, credentials: { claimDue } });
    const gate = deferred();
    const held = async (honest: Parameters<Parameters<typeof server.onRefresh>[0]>[0]) => {
      await gate.promise;
      return honest();
    };
    server.onRefresh(held, held);
    process.keepalive.start();
    await world().sent(2);
    await vi.waitFor(() => expect(clock.sleeping).toContain(50));
    await clock.advance(200);
    expect(looks).toBe(1);
    gate.resolve();
    await world().sent(3);
    await idle(process);
    await process.keepalive.stop();
  });

  it('looks less and less often while it is nearly full and finds nothing', async () => {
    const { clock, stores, server } = world();
    for (let row = 0; row < 15; row += 1) await world().connected(`${row}x`, key(`c-${row}`), { schedule: at(0) });
    let looks = 0;
    const claimDue: typeof stores.credentials.claimDue = (query) => {
      looks += 1;
      return stores.credentials.claimDue(query);
    };
    const settings = { in_flight: 16, per_host: 16 };
    const process = await world().boot({ settings, credentials: { claimDue } });
    const gate = deferred();
    const held = async (honest: Parameters<Parameters<typeof server.onRefresh>[0]>[0]) => {
      await gate.promise;
      return honest();
    };
    server.onRefresh(...Array.from({ length: 15 }, () => held));
    process.keepalive.start();
    await world().sent(15);
    for (let step = 0; step < 200; step += 1) {
      await vi.waitFor(() => expect(clock.sleeping.some((ms) => ms <= 1_000)).toBe(true));
      await clock.advance(50);
    }
    // Ten seconds: six looks until they are a second apart, and one for each second after.
    expect(looks).toBeLessThan(20);
    gate.resolve();
    await idle(process);
    await process.keepalive.stop();
  });

  it('sleeps until the next row is due, at most until the tick', async () => {
    const { clock } = world();
    const process = await world().boot();
    await world().connected('f0', key('soon'), { schedule: at(2) });
    process.keepalive.start();
    await vi.waitFor(() => expect(clock.sleeping).toEqual([2 * MINUTE]));
    await clock.advance(2 * MINUTE);
    await vi.waitFor(async () => expect(await world().accessToken(key('soon'))).toBe('access-f0t1'));
    // The notice of that refresh woke it: the next is due only in an hour, so it sleeps for a tick.
    await vi.waitFor(() => expect(clock.sleeping).toEqual([5 * MINUTE]));
    await process.keepalive.stop();
    await clock.advance(HOUR);
    expect(world().server.presented).toHaveLength(1);
  });

  it('wakes at the notice of a change', async () => {
    const { clock, notifier } = world();
    const process = await world().boot();
    process.keepalive.start();
    await vi.waitFor(() => expect(clock.sleeping).toEqual([5 * MINUTE]));
    await world().connected('f0', key('soon'), { schedule: at(0) });
    await notifier.publish('credentials', 'mcp/soon');
    await vi.waitFor(async () => expect(await world().accessToken(key('soon'))).toBe('access-f0t1'));
    await process.keepalive.stop();
  });

  it('survives a database that fails, says so and tries again', async () => {
    const { clock, stores } = world();
    await world().connected('f0', key('soon'), { schedule: at(0) });
    let down = true;
    const process = await world().boot({
      credentials: {
        claimDue: (query) => (down ? Promise.reject(new Error('down')) : stores.credentials.claimDue(query)),
        nextDueAt: () => (down ? Promise.reject(new Error('down')) : stores.credentials.nextDueAt()),
      },
    });
    process.keepalive.start();
    await vi.waitFor(() =>
      expect(world().messages('warn')).toEqual(['the refresher could not read what is due; it tries again']),
    );
    down = false;
    await vi.waitFor(() => expect(clock.sleeping).toEqual([5 * MINUTE]));
    await clock.advance(5 * MINUTE);
    await vi.waitFor(async () => expect(await world().accessToken(key('soon'))).toBe('access-f0t1'));
    await process.keepalive.stop();
  });

  it('lets one attempt that fails by a fault disturb no other', async () => {
    const { stores } = world();
    await world().connected('f0', key('broken'), { schedule: at(0) });
    await world().connected('g0', key('sound'), { schedule: at(0) });
    const process = await world().boot({
      credentials: {
        readForAttempt: (which) =>
          which.name === 'broken' ? Promise.reject(new Error('odd')) : stores.credentials.readForAttempt(which),
      },
    });
    await process.keepalive.runOnce();
    await vi.waitFor(async () => expect(await world().accessToken(key('sound'))).toBe('access-g0t1'));
    await vi.waitFor(() =>
      expect(world().messages('warn')).toContain('a background refresh could not be carried out; it is tried again'),
    );
  });

  it('drains the escrow before it refreshes anything, and records that it did', async () => {
    const { stores } = world();
    const seen = vi.spyOn(stores.replicas, 'seen');
    const drained = vi.spyOn(stores.replicas, 'drained');
    await world().connected('f0', key('soon'), { schedule: at(0) });
    const first = await world().boot({ credentials: { settle: () => Promise.reject(new Error('down')) } });
    await first.refresh({ key: key('soon') });
    const second = await world().boot();
    expect(await second.keepalive.runOnce()).toEqual({ started: 0 });
    await second.keepalive.runOnce();
    expect(await world().accessToken(key('soon'))).toBe('access-f0t1');
    expect(world().server.presented).toHaveLength(1);
    expect(drained).toHaveBeenCalledExactlyOnceWith('replica-a', second.self.boot_id);
    expect(seen).toHaveBeenCalledTimes(1);
    await world().clock.advance(30_000);
    await second.keepalive.runOnce();
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it('says that it lives well within the time after which others give it up (rule 15 d)', async () => {
    const seen = vi.spyOn(world().stores.replicas, 'seen');
    const { keepalive } = await world().boot({ settings: { owner_wait: 8_000 } });
    await keepalive.runOnce();
    await world().clock.advance(2_000);
    await keepalive.runOnce();
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it('starts nothing after it was told to stop', async () => {
    await world().connected('f0', key('soon'), { schedule: at(0) });
    const { keepalive } = await world().boot();
    await keepalive.stop();
    expect(await keepalive.runOnce()).toEqual({ started: 0 });
  });

  it('leaves a row alone whose reply another replica still awaits', async () => {
    await world().connected('f0', key('soon'), { schedule: at(0) });
    world().server.onRefresh(never);
    const a = await world().boot({ replica_id: 'replica-a' });
    await a.keepalive.runOnce();
    await world().sent(1);
    const b = await world().boot({ replica_id: 'replica-b' });
    expect(await b.keepalive.runOnce()).toEqual({ started: 0 });
  });
});
