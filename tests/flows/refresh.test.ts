import { expect, it, vi } from 'vitest';
import type { RefreshResult } from '../../src/flows/api.ts';
import { answer, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE, NOON } from './world.ts';

describeFlow('single flight', (world) => {
  it('lets fifty callers share one presentation (lesson 2)', async () => {
    const { server, connected, boot, accessToken } = world();
    await connected();
    const { refresh, door } = await boot();
    const gate = deferred();
    server.onRefresh(async (honest) => {
      await gate.promise;
      return honest();
    });
    const callers = Array.from({ length: 50 }, () => refresh({ reason: 'tool_call' }));
    await world().sent(1);
    expect(door.inFlight).toBe(1);
    gate.resolve();
    const results = await Promise.all(callers);
    expect(new Set(results.map(({ type }) => type))).toEqual(new Set(['refreshed']));
    expect(server.presented.map(({ token }) => token)).toEqual(['refresh-f0t0']);
    expect(await accessToken()).toBe('access-f0t1');
    expect(door.inFlight).toBe(0);
    expect(door.lockKeys()).toEqual([]);
  });

  it('goes on when its caller goes away, and stores the new token (lesson 4)', async () => {
    const { server, connected, boot, accessToken } = world();
    await connected();
    const { refresh } = await boot();
    const gate = deferred();
    server.onRefresh(async (honest) => {
      await gate.promise;
      return honest();
    });
    const caller = new AbortController();
    const result = refresh({ signal: caller.signal });
    await world().sent(1);
    caller.abort();
    expect(await result).toMatchObject({ type: 'waiting', why: 'the caller stopped waiting' });
    gate.resolve();
    await vi.waitFor(async () => expect(await accessToken()).toBe('access-f0t1'));
  });

  it('begins the attempt even for a caller that is gone already', async () => {
    await world().connected();
    const { refresh } = await world().boot();
    expect(await refresh({ signal: AbortSignal.abort() })).toMatchObject({ type: 'waiting' });
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-f0t1'));
  });

  it('looks again for somebody who insists, after a flight that found nothing due', async () => {
    await world().connected();
    const { refresh } = await world().boot();
    const idle = refresh({ reason: 'due' });
    const insisting = refresh({ reason: 'operator' });
    expect(await idle).toEqual({ type: 'current' });
    expect(await insisting).toEqual({ type: 'refreshed' });
    expect(world().server.presented).toHaveLength(1);
  });

  it('takes the answer of a forced flight for its own, whatever it was', async () => {
    const { generation } = await world().connected();
    const { refresh } = await world().boot();
    const first = refresh({ generation: generation - 1n });
    const second = refresh({});
    expect(await first).toEqual({ type: 'current' });
    expect(await second).toEqual({ type: 'current' });
    expect(world().server.presented).toHaveLength(0);
  });

  it('answers at once when the row holds a newer generation than the caller saw', async () => {
    const { generation } = await world().connected();
    const { refresh } = await world().boot();
    expect(await refresh({ generation })).toEqual({ type: 'refreshed' });
    expect(await refresh({ generation })).toEqual({ type: 'current' });
    expect(world().server.presented).toHaveLength(1);
  });

  it('refreshes for the loop what is due, and nothing earlier', async () => {
    const { clock, server } = world();
    await world().connected();
    const { refresh } = await world().boot();
    await clock.advance(50 * MINUTE - 1);
    expect(await refresh({ reason: 'due' })).toEqual({ type: 'current' });
    await clock.advance(1);
    expect(await refresh({ reason: 'due' })).toEqual({ type: 'refreshed' });
    expect(server.presented).toHaveLength(1);
    const [event] = await world().events();
    expect(event).toMatchObject({ event_type: 'refresh_succeeded', detail: { reason: 'access_token_expiring' } });
  });

  it('spares a server that has just failed from traffic, but not from the operator', async () => {
    const { server, clock } = world();
    await world().connected();
    const { refresh } = await world().boot();
    server.onRefresh(() => answer('', { status: 429, retry_after: 60 }));
    expect(await refresh()).toMatchObject({ type: 'failed', failure: { error_class: 'rate_limited', count: 1 } });
    for (const reason of ['tool_call', 'upstream_401'] as const) {
      expect(await refresh({ reason })).toMatchObject({ type: 'failed', failure: { count: 1 } });
    }
    expect(server.presented).toHaveLength(1);
    await clock.advance(60_000);
    expect(await refresh({ reason: 'tool_call' })).toEqual({ type: 'refreshed' });
    server.onRefresh(() => answer('', { status: 429 }));
    await refresh();
    expect(await refresh()).toEqual({ type: 'refreshed' });
  });

  it('says so when there is nothing to refresh', async () => {
    const { stores, boot, connected, credential } = world();
    const { refresh } = await boot();
    expect(await refresh()).toEqual({ type: 'gone' });
    const { incarnation, generation } = await connected('f0', KEY, {});
    await stores.credentials.settle({
      key: KEY,
      fence: { by: 'generation', incarnation, generation },
      change: {
        type: 'disconnected',
        revocation: { occurred_at: NOON, reason: 'disconnected', idp_host: null, decided_by: 'person' },
      },
      events: [],
    });
    expect(await refresh()).toEqual({ type: 'not_connected' });
    expect((await credential()).state).toBe('revoked');
  });

  it('starts nothing while it stops, and waits for what is under way (rule 21)', async () => {
    const { server, clock } = world();
    await world().connected();
    const { refresh, door } = await world().boot();
    const gate = deferred();
    server.onRefresh(async (honest) => {
      await gate.promise;
      return honest();
    });
    const running = refresh();
    await world().sent(1);
    let stopped = false;
    const stopping = door.stop().then(() => {
      stopped = true;
    });
    expect(await refresh({ key: { kind: 'mcp', name: 'other' } })).toMatchObject({ type: 'waiting' });
    await clock.advance(1_000);
    expect(stopped).toBe(false);
    gate.resolve();
    expect(await running).toEqual({ type: 'refreshed' });
    await vi.waitFor(async () => {
      await clock.advance(250);
      expect(stopped).toBe(true);
    });
    await stopping;
    expect(await world().accessToken()).toBe('access-f0t1');
  });
});

describeFlow('a lock that another replica holds', (world) => {
  const heldUntil = (free: () => boolean) => {
    const unlocked: bigint[] = [];
    return {
      unlocked,
      tryLock: async () => free(),
      unlock: async (lock_key: bigint) => void unlocked.push(lock_key),
    };
  };

  async function followed(change: () => Promise<unknown>): Promise<RefreshResult> {
    await world().connected();
    const { refresh } = await world().boot({ replica_id: 'replica-b', locker: heldUntil(() => false) });
    const result = refresh();
    await vi.waitFor(() => expect(world().clock.sleeping).toContain(250));
    await change();
    let ended: RefreshResult | undefined;
    void result.then((value) => {
      ended = value;
    });
    await vi.waitFor(
      async () => {
        await world().clock.advance(2_500);
        expect(ended).toBeDefined();
      },
      { timeout: 20_000, interval: 5 },
    );
    expect(world().server.presented.length).toBeLessThanOrEqual(1);
    return result;
  }

  it('follows the attempt to its success', async () => {
    const result = await followed(async () => (await world().boot()).refresh());
    expect(result).toEqual({ type: 'current' });
  });

  it('follows the attempt to its failure', async () => {
    world().server.onRefresh(() => answer({ error: 'invalid_client' }, { status: 401 }));
    const result = await followed(async () => (await world().boot()).refresh());
    expect(result).toMatchObject({ type: 'failed', failure: { type: 'misconfigured' } });
  });

  it('follows the attempt to the end of the grant', async () => {
    world().server.kill('f0');
    const result = await followed(async () => (await world().boot()).refresh());
    expect(result).toMatchObject({ type: 'revoked', revocation: { reason: 'invalid_grant' } });
  });

  it('notices that the connection was deleted', async () => {
    const result = await followed(async () => {
      const { incarnation } = await world().credential();
      await world().stores.connections.delete(KEY, incarnation, () => []);
    });
    expect(result).toEqual({ type: 'gone' });
  });

  it('stops waiting after as long as an attempt may take', async () => {
    const result = await followed(async () => undefined);
    expect(result).toMatchObject({ type: 'waiting', why: 'another replica is refreshing' });
  });

  it('does the work itself when the holder lets go', async () => {
    await world().connected();
    let free = false;
    const locker = heldUntil(() => free);
    const { refresh } = await world().boot({ locker });
    const result = refresh();
    await vi.waitFor(() => expect(world().clock.sleeping).toContain(250));
    free = true;
    await world().clock.advance(250);
    expect(await result).toEqual({ type: 'refreshed' });
    expect(locker.unlocked).toEqual([(await world().credential()).lock_key]);
  });

  it('survives a lock that cannot be released, and says so', async () => {
    await world().connected();
    const locker = { tryLock: async () => true, unlock: () => Promise.reject(new Error('the session is gone')) };
    const { refresh } = await world().boot({ locker });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(world().messages('warn')).toEqual(['an advisory lock could not be released']);
  });

  it('gives the lock of a claim back when a flight is under way already', async () => {
    const credential = await world().connected();
    const locker = heldUntil(() => true);
    const { refresh, door } = await world().boot({ locker });
    const gate = deferred();
    world().server.onRefresh(async (honest) => {
      await gate.promise;
      return honest();
    });
    const flight = refresh();
    await world().sent(1);
    expect(door.lockKeys()).toEqual([credential.lock_key]);
    const claimed = door.refreshClaimed({ ...credential, idp_host: null }, 'system:background-refresh');
    await vi.waitFor(() => expect(locker.unlocked).toEqual([credential.lock_key]));
    gate.resolve();
    expect(await claimed).toEqual({ type: 'refreshed' });
    await flight;
    expect(world().server.presented).toHaveLength(1);
    await world().clock.advance(HOUR);
  });
});
