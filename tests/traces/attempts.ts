import { expect } from 'vitest';
import { never } from '../flows/world.ts';
import { KEY } from '../suites/store-fixture.ts';
import { answer, deferred, INVALID_GRANT } from '../support/ports.ts';
import {
  diesAfterClaim,
  down,
  escrowed,
  HOUR,
  heard,
  holdRefresh,
  MINUTE,
  nearExpiry,
  presented,
  type Run,
} from './stage.ts';

/** Who may present a token, and when. */
export const ATTEMPTS = {
  async '1'(world) {
    const { stores } = world;
    await world.connected();
    const both = deferred();
    let read = 0;
    const readForAttempt: typeof stores.credentials.readForAttempt = async (key) => {
      const view = await stores.credentials.readForAttempt(key);
      read += 1;
      if (read === 2) both.resolve();
      await both.promise;
      return view;
    };
    const a = await world.boot({ replica_id: 'replica-a', credentials: { readForAttempt } });
    const b = await world.boot({ replica_id: 'replica-b', credentials: { readForAttempt } });
    const results = await Promise.all([a.refresh(), b.refresh()]);
    expect(presented(world), 'I2: one of them presents the token').toEqual(['refresh-f0t0']);
    expect(results.map(({ type }) => type).sort()).toEqual(['refreshed', 'waiting']);
    expect(await world.credential()).toMatchObject({ state: 'connected', intent: null, ambiguous: false });
  },

  async '2'(world) {
    await nearExpiry(world);
    const a = await world.boot({ replica_id: 'replica-a', credentials: { settle: never } });
    void a.refresh();
    await escrowed(world);
    a.kill();
    await world.pass(8 * MINUTE);
    const b = await world.boot({ replica_id: 'replica-b' });
    await b.refresh();
    expect(presented(world), 'I1: nobody presents t0 while t1 lies in an escrow').toEqual(['refresh-f0t0']);
    const back = await world.boot({ replica_id: 'replica-a' });
    await back.keeper.recover();
    expect(await world.accessToken(), 'I1: t1 is stored').toBe('access-f0t1');
    expect(await b.refresh(), 'I1: the grant lives').toEqual({ type: 'refreshed' });
    expect(await world.eventTypes()).toEqual(['rotation_recovered', 'refresh_succeeded']);
  },

  async '3'(world) {
    const { stores } = world;
    await nearExpiry(world);
    let away = true;
    const a = await world.boot({
      replica_id: 'replica-a',
      credentials: { settle: (settlement) => (away ? down() : stores.credentials.settle(settlement)) },
    });
    expect(await a.refresh()).toMatchObject({ type: 'waiting' });
    await world.pass(8 * MINUTE);
    const b = await world.boot({ replica_id: 'replica-b' });
    await b.refresh();
    expect(presented(world), 'I1: nobody presents t0 while t1 lies in an escrow').toEqual(['refresh-f0t0']);
    away = false;
    await a.keeper.recover();
    expect(await world.accessToken(), 'I1: t1 is stored').toBe('access-f0t1');
    expect(await b.refresh(), 'I1: the grant lives').toEqual({ type: 'refreshed' });
  },

  async '4'(world) {
    const { stores } = world;
    await world.connected();
    let away = true;
    const { refresh } = await world.boot({
      credentials: { settle: (settlement) => (away ? down() : stores.credentials.settle(settlement)) },
    });
    expect(await refresh()).toMatchObject({ type: 'waiting' });
    await world.pass(2 * HOUR);
    away = false;
    const result = await refresh();
    expect(presented(world), 'I1: t1 is presented next').toEqual(['refresh-f0t0', 'refresh-f0t1']);
    expect(result).toEqual({ type: 'refreshed' });
    expect(await world.eventTypes()).toEqual(['rotation_recovered', 'refresh_succeeded']);
  },

  async '5'(world) {
    await world.connected();
    const process = await world.boot();
    const gate = holdRefresh(world, 'then');
    const first = process.refresh();
    await world.sent(1);
    await world.clock.advance(30_000);
    expect(await first).toMatchObject({ type: 'failed', failure: { type: 'transient' } });
    await process.refresh();
    await process.refresh({ reason: 'due' });
    expect(presented(world), 'I2: t0 is presented once').toEqual(['refresh-f0t0']);
    gate.resolve();
    await heard(process);
    expect(await world.accessToken()).toBe('access-f0t1');
    expect(await world.eventTypes()).toEqual(['refresh_failed_transient', 'refresh_succeeded']);
  },

  async '6'(world) {
    const { server, clock } = world;
    await world.connected();
    const gate = deferred();
    server.onRefresh(async (honest, { listen_ms }) => {
      const reply = honest();
      // The socket is closed a moment after the caller has given up, at the earliest.
      const closed = clock.sleep(listen_ms + 1_000).then(() => ({ type: 'unknown', error_class: 'timeout' }) as const);
      return Promise.race([gate.promise.then(() => reply), closed]);
    });
    const process = await world.boot();
    const result = process.refresh();
    await world.sent(1);
    await clock.advance(30_000);
    expect(await result).toMatchObject({ type: 'failed', failure: { type: 'transient', error_class: 'timeout' } });
    const row = await world.credential();
    expect(row).toMatchObject({ state: 'connected', ambiguous: true, failure: { count: 1 } });
    expect(row.intent).not.toBeNull();
    expect(await world.events()).toMatchObject([
      {
        event_type: 'refresh_failed_transient',
        detail: { error_class: 'ambiguous', ambiguous: true, step: 'timeout' },
      },
    ]);
    await clock.advance(MINUTE);
    gate.resolve();
    await heard(process);
    expect(await world.accessToken(), 'I1+: the late reply is stored').toBe('access-f0t1');
    expect(await world.credential()).toMatchObject({ ambiguous: false, intent: null, failure: null });
    expect(await world.eventTypes()).toEqual(['refresh_failed_transient', 'refresh_succeeded']);
    expect(presented(world)).toEqual(['refresh-f0t0']);
  },

  async '6b'(world) {
    await nearExpiry(world);
    const process = await world.boot();
    const gate = holdRefresh(world, 'then');
    const first = process.refresh();
    await world.sent(1);
    await world.clock.advance(30_000);
    await first;
    await world.pass(3 * MINUTE);
    await process.refresh();
    expect(presented(world), 'I2: t0 is presented once').toEqual(['refresh-f0t0']);
    gate.resolve();
    await heard(process);
    expect(await world.accessToken()).toBe('access-f0t1');
  },

  async '7'(world) {
    await nearExpiry(world);
    const a = await world.boot({ replica_id: 'replica-a' });
    const gate = holdRefresh(world, 'then');
    const refreshing = a.refresh();
    await world.sent(1);
    // Whoever has the directory of the dead reports that nothing of earlier boots lies there.
    const heir = await world.boot({ replica_id: 'replica-a' });
    await heir.keeper.recover();
    const b = await world.boot({ replica_id: 'replica-b' });
    await b.refresh();
    expect(presented(world), 'I2: t0 is presented once').toEqual(['refresh-f0t0']);
    gate.resolve();
    expect(await refreshing).toEqual({ type: 'refreshed' });
  },

  async '7b'(world) {
    const { stores } = world;
    await nearExpiry(world);
    const claimed = deferred();
    const stalled = deferred();
    const a = await world.boot({
      replica_id: 'replica-a',
      credentials: {
        async claimIntent(claim) {
          const mine = await stores.credentials.claimIntent(claim);
          claimed.resolve();
          await stalled.promise;
          return mine;
        },
      },
    });
    const late = a.refresh();
    await claimed.promise;
    await world.pass(16 * MINUTE);
    const b = await world.boot({ replica_id: 'replica-b' });
    expect(await b.refresh()).toEqual({ type: 'refreshed' });
    stalled.resolve();
    await late;
    expect(presented(world), 'I2: the replica that slept sends nothing').toEqual(['refresh-f0t0']);
    expect(await world.accessToken()).toBe('access-f0t1');
  },

  async '20'(world) {
    const { server, clock } = world;
    const oauth2_profile = { rotation: 'rotating', honours_previous: true, grace_window: '10m' } as const;
    await world.connected('f0', KEY, {}, { oauth2_profile });
    const rotated_at = clock.now();
    const again = answer({ access_token: 'access-f0t1', refresh_token: 'refresh-f0t1', expires_in: 3600 });
    server.onRefresh(
      (honest) => {
        honest();
        return { type: 'unknown', error_class: 'reset' };
      },
      () => (clock.now() - rotated_at <= 10 * MINUTE ? again : INVALID_GRANT),
    );
    const { refresh } = await world.boot();
    let result = await refresh();
    for (let looks = 0; looks < 40 && presented(world).length < 2; looks += 1) {
      await world.pass(2 * MINUTE);
      result = await refresh({ reason: 'due' });
    }
    expect(result, 'I1+: the grace window is used').toEqual({ type: 'refreshed' });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(presented(world)).toEqual(['refresh-f0t0', 'refresh-f0t0', 'refresh-f0t1']);
  },

  async '22'(world) {
    await nearExpiry(world);
    await diesAfterClaim(world, 'replica-a');
    const b = await world.boot({ replica_id: 'replica-b' });
    await world.pass(8 * MINUTE);
    expect(await b.refresh({ reason: 'due' })).toMatchObject({ type: 'waiting' });
    await world.pass(8 * MINUTE);
    expect(await b.refresh({ reason: 'due' }), 'I5: the grant lives, and is refreshed').toEqual({ type: 'refreshed' });
    expect(presented(world)).toEqual(['refresh-f0t0']);
  },
} satisfies Record<string, Run>;
