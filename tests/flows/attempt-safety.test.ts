import { expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { answer, deferred, INVALID_GRANT } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, never } from './world.ts';

const DOWN = () => Promise.reject(new AppError('database_unavailable', 'The database cannot be reached.'));

describeFlow('the claim', (world) => {
  it.each([
    ['monotonic time', async () => void (await world().clock.advance(5_001))],
    ['the wall clock alone, as after a suspend', async () => world().clock.jump(5_001)],
  ])('sends nothing under a claim that grew old by %s, and takes it back (rule 7)', async (_name, stall) => {
    const { stores, server } = world();
    await world().connected();
    const { refresh } = await world().boot({
      credentials: {
        async claimIntent(claim) {
          const claimed = await stores.credentials.claimIntent(claim);
          await stall();
          return claimed;
        },
      },
    });
    expect(await refresh()).toMatchObject({ type: 'waiting', why: 'another attempt is under way' });
    expect(server.presented).toHaveLength(0);
    expect((await world().credential()).intent).toBeNull();
    const healthy = await world().boot();
    expect(await healthy.refresh()).toEqual({ type: 'refreshed' });
  });

  it('sends when the claim took no longer than it may', async () => {
    const { stores } = world();
    await world().connected();
    const { refresh } = await world().boot({
      credentials: {
        async claimIntent(claim) {
          await world().clock.advance(5_000);
          return stores.credentials.claimIntent(claim);
        },
      },
    });
    expect(await refresh()).toEqual({ type: 'refreshed' });
  });

  it('keeps other replicas away while a reply is out, and leaves its time to the one that owns it', async () => {
    const { server } = world();
    await world().connected();
    const before = (await world().credential()).next_refresh_at;
    const a = await world().boot({ replica_id: 'replica-a' });
    server.onRefresh(never);
    void a.refresh();
    await world().sent(1);
    const b = await world().boot({ replica_id: 'replica-b' });
    const result = await b.refresh();
    expect(result).toMatchObject({ type: 'waiting', why: 'another attempt is under way' });
    expect((await world().credential()).next_refresh_at).toBe(before);
    expect(server.presented).toHaveLength(1);
  });
});

describeFlow('a reply is safe before anything looks at it', (world) => {
  it('is escrowed, then settled, then cleared (rules 10 to 12)', async () => {
    const { stores, escrow } = world();
    await world().connected();
    const steps: string[] = [];
    const { refresh } = await world().boot({
      escrow: {
        async write(entry) {
          steps.push('escrow');
          await escrow.write(entry);
        },
        async clear(id) {
          steps.push('clear');
          await escrow.clear(id);
        },
      },
      credentials: {
        async settle(settlement) {
          steps.push('settle');
          return stores.credentials.settle(settlement);
        },
      },
    });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(steps).toEqual(['escrow', 'settle', 'clear']);
    expect(escrow.entries.size).toBe(0);
  });

  it('holds everything that a later process needs', async () => {
    const { escrow } = world();
    const { incarnation, generation, token } = await world().connected();
    const { refresh, self } = await world().boot({ credentials: { settle: DOWN } });
    await refresh({ reason: 'tool_call', actor: 'system:tool-call' });
    const [entry] = [...escrow.entries.values()];
    expect(entry).toMatchObject({
      purpose: 'refresh',
      key: KEY,
      incarnation,
      parent_generation: generation,
      consent_seq: null,
      ...self,
      actor: 'system:tool-call',
      reason: 'tool_call',
      before: {
        expires_at: token?.expires_at,
        refresh_expires_at: null,
        refresh_token_fingerprint: token?.refresh_token_fingerprint,
      },
    });
    expect(entry?.presented_refresh_token?.reveal()).toBe('refresh-f0t0');
    expect(entry?.client_secret?.reveal()).toBe('client-secret');
  });

  it('is recovered by a new process when the database failed from the reply on (lesson 5)', async () => {
    await world().connected();
    const first = await world().boot({ credentials: { settle: DOWN } });
    expect(await first.refresh()).toMatchObject({
      type: 'waiting',
      why: expect.stringContaining('safe on this server'),
    });
    expect(world().escrow.entries.size).toBe(1);
    expect(await world().accessToken()).toBe('access-f0t0');

    const second = await world().boot();
    await second.keeper.recover();
    expect(await world().accessToken()).toBe('access-f0t1');
    expect(await world().eventTypes()).toEqual(['rotation_recovered']);
    expect(world().escrow.entries.size).toBe(0);
    expect(await world().credential()).toMatchObject({ state: 'connected', intent: null, failure: null });
    expect(await second.refresh()).toEqual({ type: 'refreshed' });
    expect(world().server.presented.map(({ token }) => token)).toEqual(['refresh-f0t0', 'refresh-f0t1']);
  });

  it('is replayed before anything is presented again by the same process (trace 4)', async () => {
    const { stores, server } = world();
    await world().connected();
    let down = 3;
    const { refresh } = await world().boot({
      credentials: {
        settle: (settlement) => {
          down -= 1;
          return down >= 0 ? DOWN() : stores.credentials.settle(settlement);
        },
      },
    });
    await refresh();
    await expect(refresh({ reason: 'due' })).rejects.toMatchObject({ code: 'database_unavailable' });
    await expect(refresh({ reason: 'due' })).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(await refresh({ reason: 'due' })).toEqual({ type: 'current' });
    expect(server.presented).toHaveLength(1);
    expect(await world().accessToken()).toBe('access-f0t1');
    expect(await world().eventTypes()).toEqual(['rotation_recovered']);
  });

  it('needs no disk while the database answers', async () => {
    await world().connected();
    const { refresh } = await world().boot({ escrow: { write: () => Promise.reject(new Error('ENOSPC')) } });
    expect(await refresh()).toEqual({ type: 'refreshed' });
  });

  it('lets one entry that cannot be replayed block its own connection and no other', async () => {
    const { stores, escrow } = world();
    const other = { kind: 'mcp', name: 'other' };
    await world().connected('f0');
    await world().connected('g0', other);
    const first = await world().boot({ credentials: { settle: DOWN } });
    await first.refresh();
    await first.refresh({ key: other });
    expect(escrow.entries.size).toBe(2);
    let broken = true;
    const drained = vi.spyOn(stores.replicas, 'drained');
    const second = await world().boot({
      credentials: {
        settle: (settlement) =>
          broken && settlement.key.name === 'acme' ? DOWN() : stores.credentials.settle(settlement),
      },
    });
    await second.keeper.recover();
    expect(await world().accessToken(other)).toBe('access-g0t1');
    expect(escrow.entries.size).toBe(1);
    expect(drained).not.toHaveBeenCalled();
    broken = false;
    await second.keeper.recover();
    await second.keeper.recover();
    expect(await world().accessToken()).toBe('access-f0t1');
    expect(drained).toHaveBeenCalledTimes(1);
  });

  it('keeps a token although a later step failed (lesson 7)', async () => {
    await world().connected();
    const { refresh } = await world().boot({ escrow: { clear: () => Promise.reject(new Error('EIO')) } });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(world().messages('warn')).toEqual([
      'an escrow file could not be removed; it will be recognised and dropped',
    ]);
    expect(await world().accessToken()).toBe('access-f0t1');
  });
});

describeFlow('kill -9 at every point (lesson 6)', (world) => {
  it('before sending: the token is presented again, and the grant lives', async () => {
    const { stores, server } = world();
    await world().connected();
    const first = await world().boot({
      credentials: {
        async claimIntent(claim) {
          await stores.credentials.claimIntent(claim);
          return never();
        },
      },
    });
    void first.refresh();
    await vi.waitFor(async () => expect((await world().credential()).intent).not.toBeNull());
    const second = await world().boot();
    await second.keeper.recover();
    expect(await second.refresh()).toMatchObject({ type: 'waiting', why: 'another attempt is under way' });
    await world().pass(90_000);
    expect(await second.refresh()).toMatchObject({
      type: 'waiting',
      why: expect.stringContaining('outcome of the last attempt is unknown'),
    });
    await world().pass(HOUR);
    expect(await second.refresh()).toEqual({ type: 'refreshed' });
    expect(server.presented).toHaveLength(1);
    expect(await world().credential()).toMatchObject({ state: 'connected', ambiguous: false, intent: null });
  });

  it('after sending, the reply lost: presented once more, and the loss is told as what it is (rule 17)', async () => {
    const { server } = world();
    await world().connected();
    server.onRefresh((honest) => {
      honest();
      return never();
    });
    const first = await world().boot();
    void first.refresh();
    await world().sent(1);
    first.kill();
    const second = await world().boot();
    await second.keeper.recover();
    await world().pass(HOUR + 90_000);
    expect(await second.refresh()).toMatchObject({
      type: 'revoked',
      revocation: { reason: 'rotation_outcome_lost', decided_by: 'idp' },
    });
    expect(server.presented).toHaveLength(2);
    expect(await world().eventTypes()).toEqual([
      'refresh_failed_transient',
      'refresh_failed_revoked',
      'token_deleted_revoked',
    ]);
  });

  it('after the escrow: replayed, without a second presentation', async () => {
    const { server, escrow } = world();
    await world().connected();
    const first = await world().boot({ credentials: { settle: never } });
    void first.refresh();
    await vi.waitFor(() => expect(escrow.entries.size).toBe(1));
    const second = await world().boot();
    await second.keeper.recover();
    expect(await world().accessToken()).toBe('access-f0t1');
    expect(await world().eventTypes()).toEqual(['rotation_recovered']);
    expect(server.presented).toHaveLength(1);
  });

  it('after the commit, before the file is cleared: recognised and dropped', async () => {
    const { escrow, server } = world();
    await world().connected();
    const first = await world().boot({ escrow: { clear: never } });
    void first.refresh();
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-f0t1'));
    expect(escrow.entries.size).toBe(1);
    const second = await world().boot();
    await second.keeper.recover();
    expect(escrow.entries.size).toBe(0);
    expect(await world().eventTypes()).toEqual(['refresh_succeeded']);
    expect(server.revoked).toEqual([]);
  });

  it('after the commit of an older reply than the row holds: dropped, and the live token is not revoked', async () => {
    const { escrow, server } = world();
    await world().connected();
    const first = await world().boot({ escrow: { clear: never } });
    void first.refresh();
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-f0t1'));
    const kept = new Map(escrow.entries);
    const second = await world().boot();
    await second.keeper.recover();
    await second.refresh();
    for (const [id, entry] of kept) escrow.entries.set(id, entry);
    const third = await world().boot();
    await third.keeper.recover();
    expect(await world().accessToken()).toBe('access-f0t2');
    expect(escrow.entries.size).toBe(0);
    expect(server.revoked).toEqual([]);
  });
});

describeFlow('a slow or silent server', (world) => {
  it('is not presented the token again while its reply may still come', async () => {
    const { server, clock } = world();
    await world().connected();
    server.onRefresh(never);
    const { refresh } = await world().boot();
    const result = refresh();
    await world().sent(1);
    await clock.advance(30_000);
    await result;
    await world().pass(HOUR);
    expect(await refresh()).toMatchObject({ type: 'waiting', why: 'the answer to the last attempt is still awaited' });
    expect(server.presented).toHaveLength(1);
  });

  it('is presented the token once more when the listening has ended without an answer', async () => {
    const { server, clock } = world();
    await world().connected();
    const gate = deferred();
    server.onRefresh(async () => {
      await gate.promise;
      return { type: 'unknown', error_class: 'timeout' };
    });
    const { refresh, listening } = await world().boot();
    const result = refresh();
    await world().sent(1);
    await clock.advance(30_000);
    await result;
    gate.resolve();
    await vi.waitFor(() => expect(listening.size).toBe(0));
    await world().pass(HOUR);
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(server.presented).toHaveLength(2);
  });

  it('leaves the intent open after a reset, and calls the following refusal a lost rotation (rule 17)', async () => {
    const { server } = world();
    await world().connected();
    server.onRefresh((honest) => {
      honest();
      return { type: 'unknown', error_class: 'reset' };
    });
    const { refresh } = await world().boot();
    expect(await refresh()).toMatchObject({ type: 'failed', failure: { error_class: 'reset' } });
    const open = await world().credential();
    expect(open.intent).not.toBeNull();
    expect(open.ambiguous).toBe(true);
    await world().pass(HOUR + 90_000);
    expect(await refresh()).toMatchObject({ type: 'revoked', revocation: { reason: 'rotation_outcome_lost' } });
  });

  it('closes only its own intent by a structured answer: the older ambiguity stays', async () => {
    const { server } = world();
    await world().connected();
    server.onRefresh(
      () => ({ type: 'unknown', error_class: 'reset' }),
      () => answer({ error: 'temporarily_unavailable' }, { status: 503 }),
    );
    const { refresh } = await world().boot();
    await refresh();
    await world().pass(HOUR + 90_000);
    const { intent } = await world().credential();
    expect(await refresh()).toMatchObject({ type: 'failed', failure: { count: 2 } });
    const older = { attempt_id: intent?.attempt_id, given_back: true };
    expect(await world().credential()).toMatchObject({ intent: older, ambiguous: true });
    server.onRefresh(() => INVALID_GRANT);
    expect(await refresh()).toMatchObject({ type: 'revoked', revocation: { reason: 'rotation_outcome_lost' } });
  });

  it('survives that the timeout itself cannot be stored', async () => {
    const { server, clock, stores } = world();
    await world().connected();
    const gate = deferred();
    server.onRefresh(async (honest) => {
      await gate.promise;
      return honest();
    });
    let down = true;
    const { refresh } = await world().boot({
      credentials: { settle: (settlement) => (down ? DOWN() : stores.credentials.settle(settlement)) },
    });
    const result = refresh();
    await world().sent(1);
    await clock.advance(30_000);
    expect(await result).toMatchObject({ type: 'waiting' });
    down = false;
    gate.resolve();
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-f0t1'));
    expect(await world().eventTypes()).toEqual(['refresh_succeeded']);
  });
});
