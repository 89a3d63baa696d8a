import { expect } from 'vitest';
import type { EscrowEntry } from '../../src/core/ports.ts';
import { createFileEscrow } from '../../src/db/escrow.ts';
import { never } from '../flows/world.ts';
import { KEY, testBox } from '../suites/store-fixture.ts';
import { answer, deferred, INVALID_GRANT } from '../support/ports.ts';
import { begun, CLIENT, finished } from './consents.ts';
import { down, HOUR, inDirectory, presented, type Run, wakeKeeper } from './stage.ts';

/** What becomes of a reply between its arrival and the confirmed commit. */
export const ESCROWS = {
  async '14'(world) {
    const { stores, log } = world;
    await inDirectory(async (directory) => {
      await world.connected('f0', KEY, {}, CLIENT);
      const escrow = createFileEscrow({ directory, box: testBox(), log });
      const written = deferred();
      const settling = deferred();
      const process = await world.boot({
        escrow: {
          ...escrow,
          async write(entry) {
            await escrow.write(entry);
            written.resolve();
          },
        },
        credentials: {
          async settle(settlement) {
            if (settlement.change.type === 'connected') return down();
            await settling.promise;
            return stores.credentials.settle(settlement);
          },
        },
      });
      const refreshing = process.refresh();
      await written.promise;
      expect(await finished(process, await begun(process))).toMatchObject({ code: 'stored_later' });
      settling.resolve();
      expect(await refreshing).toEqual({ type: 'refreshed' });
      process.kill();
      const next = await world.boot({ escrow });
      await next.keeper.recover();
      expect(await world.accessToken(), 'I1: the token of the consent is stored').toBe('access-c1t0');
      expect(await escrow.list()).toEqual({ entries: [], unreadable: 0 });
    });
  },

  async '15'(world) {
    const { stores, server, escrow } = world;
    await world.connected();
    let lost = true;
    const { refresh, keeper } = await world.boot({
      credentials: {
        async settle(settlement) {
          const result = await stores.credentials.settle(settlement);
          return lost ? down() : result;
        },
      },
    });
    expect(await refresh()).toMatchObject({ type: 'waiting' });
    const { generation } = await world.credential();
    lost = false;
    await keeper.recover();
    expect(server.revoked, 'I1: its own live token is not revoked').toEqual([]);
    expect(await world.accessToken()).toBe('access-f0t1');
    expect((await world.credential()).generation).toBe(generation);
    expect(await world.eventTypes()).toEqual(['refresh_succeeded']);
    expect(escrow.entries.size).toBe(0);
  },

  async '17'(world) {
    const { server } = world;
    await world.connected();
    const a = await world.boot({ replica_id: 'replica-a', credentials: { settle: down } });
    await a.refresh();
    a.kill();
    await world.pass(2 * HOUR);
    const b = await world.boot({ replica_id: 'replica-b' });
    // One-time tokens: the second presentation is refused, and the grant lives on.
    server.onRefresh(() => INVALID_GRANT);
    expect(await b.refresh()).toMatchObject({ type: 'revoked', revocation: { reason: 'rotation_outcome_lost' } });
    const back = await world.boot({ replica_id: 'replica-a' });
    await back.keeper.recover();
    expect(await world.accessToken(), 'I1: t1 is stored').toBe('access-f0t1');
    expect(await world.credential()).toMatchObject({ state: 'connected', revocation: null });
    expect(await b.refresh(), 'I1: the grant lives').toEqual({ type: 'refreshed' });
    expect((await world.eventTypes()).slice(0, 4)).toEqual([
      'refresh_failed_transient',
      'refresh_failed_revoked',
      'token_deleted_revoked',
      'rotation_recovered',
    ]);
  },

  async '18'(world) {
    const { server } = world;
    await world.connected();
    const reached = deferred();
    const process = await world.boot({
      escrow: {
        write() {
          reached.resolve();
          return never();
        },
      },
    });
    await Promise.race([reached.promise, process.refresh()]);
    const used = (await process.accessToken(KEY)).reveal();
    expect(used, 'I1+: nobody has the new access token before it is in the escrow').toBe('access-f0t0');
    process.kill();
    await world.pass(2 * HOUR);
    const next = await world.boot();
    await next.keeper.recover();
    const renewed = answer({ access_token: 'access-f0t2', refresh_token: 'refresh-f0t2', expires_in: 3600 });
    // The old refresh token dies with the first use of what it was exchanged for.
    server.onRefresh(() => (used === 'access-f0t1' ? INVALID_GRANT : renewed));
    expect(await next.refresh(), 'I1+: the old refresh token still works').toEqual({ type: 'refreshed' });
    expect(presented(world)).toEqual(['refresh-f0t0', 'refresh-f0t0']);
  },

  async '19'(world) {
    const { stores, escrow } = world;
    await world.connected();
    let left = 5;
    const { refresh, keeper } = await world.boot({
      escrow: { write: (entry: EscrowEntry) => (left > 0 ? Promise.reject(new Error('ENOSPC')) : escrow.write(entry)) },
      credentials: {
        settle(settlement) {
          if (left === 0) return stores.credentials.settle(settlement);
          left -= 1;
          return down();
        },
      },
    });
    const result = refresh();
    await world.sent(1);
    const refused = () => world.messages('warn').length;
    await expect.poll(refused).toBe(1);
    expect(world.messages('error')[0]).toContain('held in memory and retried');
    while (await wakeKeeper(world, result));
    expect(await world.accessToken(), 'I1+: the reply is stored').toBe('access-f0t1');
    expect(await result).toEqual({ type: 'refreshed' });
    expect(refused()).toBe(5);
    expect(keeper.unsaved).toBe(0);
  },
} satisfies Record<string, Run>;
