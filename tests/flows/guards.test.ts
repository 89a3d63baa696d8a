import { expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { claimOf, NOON, tokens } from '../suites/store-fixture.ts';
import { answer, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE } from './world.ts';

const DOWN = () => Promise.reject(new AppError('database_unavailable', 'The database cannot be reached.'));

describeFlow('a database that comes and goes', (world) => {
  it('drains what was left in the escrow while another drain was under way (rule 5, trace 4)', async () => {
    const { stores, server, escrow } = world();
    await world().connected();
    const listed = deferred();
    const go = deferred();
    let first = true;
    let down = true;
    const { keeper, refresh } = await world().boot({
      credentials: { settle: (settlement) => (down ? DOWN() : stores.credentials.settle(settlement)) },
      escrow: {
        async list() {
          const found = await escrow.list();
          if (first) {
            first = false;
            listed.resolve();
            await go.promise;
          }
          return found;
        },
      },
    });
    const draining = keeper.recover();
    await listed.promise;
    // The drain has looked already; what this attempt leaves behind is not part of what it saw.
    expect(await refresh()).toMatchObject({ type: 'waiting' });
    go.resolve();
    await draining;
    down = false;
    await world().pass(2 * HOUR);
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(server.presented.map(({ token }) => token)).toEqual(['refresh-f0t0', 'refresh-f0t1']);
    expect(await world().eventTypes()).toEqual(['rotation_recovered', 'refresh_succeeded']);
  });

  it('takes back a claim whose acknowledgement was lost: nothing was sent, so nothing is ambiguous', async () => {
    const { stores, server } = world();
    await world().connected();
    let lost = true;
    const { refresh } = await world().boot({
      credentials: {
        async claimIntent(claim) {
          const claimed = await stores.credentials.claimIntent(claim);
          return lost ? DOWN() : claimed;
        },
      },
    });
    await expect(refresh()).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(await world().credential()).toMatchObject({ intent: null, ambiguous: false });
    lost = false;
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(server.presented).toHaveLength(1);
  });

  it('stores the outcome although other replicas could not be told of it', async () => {
    await world().connected();
    const notifier = { publish: () => DOWN(), subscribe: () => () => undefined };
    const { refresh } = await world().boot({ notifier });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    expect(await world().eventTypes()).toEqual(['refresh_succeeded']);
  });
});

describeFlow('an attempt of another replica', (world) => {
  it('is not put off by a stranger, who may not resolve it (rules 14, 15)', async () => {
    const { stores, server } = world();
    const credential = await world().connected();
    const owner = await world().boot({ replica_id: 'replica-b' });
    await stores.credentials.claimIntent(claimOf(credential, 'attempt-of-b', owner.self));
    await world().pass(2 * MINUTE);
    const before = (await world().credential()).next_refresh_at;
    const stranger = await world().boot({ replica_id: 'replica-a' });
    expect(await stranger.refresh()).toMatchObject({ type: 'waiting' });
    expect((await world().credential()).next_refresh_at).toBe(before);
    expect(server.presented).toHaveLength(0);
  });

  it('that is gone does not stand in the way of what else is due, until its access token has ended (rule 15)', async () => {
    const other = { kind: 'mcp', name: 'other' };
    const schedule = (at: number) => ({ at, reason: 'retry' });
    const lasting = tokens('f0t0', { expires_at: NOON + 12 * HOUR });
    const credential = await world().connected('f0', KEY, { token_set: lasting, schedule: schedule(NOON) });
    await world().connected('g0', other, { schedule: schedule(NOON + MINUTE) });
    const gone = await world().boot({ replica_id: 'replica-a' });
    await world().stores.credentials.claimIntent(claimOf(credential, 'attempt-of-a', gone.self));
    await world().pass(20 * MINUTE);
    const { keepalive } = await world().boot({ replica_id: 'replica-b', settings: { in_flight: 1 } });
    await expect
      .poll(
        async () => {
          await keepalive.runOnce();
          return world().accessToken(other);
        },
        { timeout: 20_000 },
      )
      .toBe('access-g0t1');
    expect(world().server.presented.map(({ token }) => token)).toEqual(['refresh-g0t0']);
    expect((await world().credential()).next_refresh_at).toBe(NOON + 25 * MINUTE);
    await keepalive.stop();
  });
});

describeFlow('whatever a provider or an upstream does', (world) => {
  it('stores a scope that holds characters which no database takes', async () => {
    await world().connected();
    world().server.onRefresh(() =>
      answer({
        access_token: 'a',
        refresh_token: 'b',
        expires_in: 60,
        scope: 'read\u0000 write\ud800',
        token_type: '\u0000',
      }),
    );
    const { refresh } = await world().boot();
    expect(await refresh()).toEqual({ type: 'refreshed' });
    const { token } = await world().credential();
    expect(token).toMatchObject({ scope: 'read write\ufffd', token_type: 'Bearer' });
  });

  it('takes a lifetime of 0 for not disclosed, and does not refresh in a circle (lesson 10)', async () => {
    await world().connected();
    world().server.onRefresh(() => answer({ access_token: 'a', refresh_token: 'b', expires_in: 0 }));
    const { refresh } = await world().boot();
    await refresh();
    const credential = await world().credential();
    expect(credential.token?.expires_at).toBeNull();
    expect(credential.next_refresh_at).toBeNull();
  });

  it('does not spend a rotation on each call to an upstream that refuses every token', async () => {
    await world().connected();
    const { accessToken } = await world().boot();
    await world().pass(MINUTE);
    let token = await accessToken(KEY);
    for (let call = 0; call < 5; call += 1) token = await accessToken(KEY, { rejected: token }).catch(() => token);
    expect(world().server.presented).toHaveLength(1);
    expect(await world().eventTypes()).toEqual(['refresh_succeeded']);
  });

  it('tells one attempt without an answer once, however long it listens (rule 9)', async () => {
    const { clock, server } = world();
    await world().connected();
    const silence = deferred<{ type: 'unknown'; error_class: 'timeout' }>();
    server.onRefresh(() => silence.promise);
    const process = await world().boot();
    const refreshing = process.refresh();
    await world().sent(1);
    await clock.advance(30_000);
    expect(await refreshing).toMatchObject({ type: 'failed' });
    silence.resolve({ type: 'unknown', error_class: 'timeout' });
    await expect.poll(() => process.listening.size).toBe(0);
    expect(await world().eventTypes()).toEqual(['refresh_failed_transient']);
    expect((await world().credential()).failure?.count).toBe(1);
  });

  it('goes on refreshing a connection whose configuration is no longer valid', async () => {
    const { stores } = world();
    await world().connected();
    const { refresh } = await world().boot({
      connections: {
        async read(key) {
          const connection = await stores.connections.read(key);
          return connection && { ...connection, issues: [{ path: 'endpoint', message: 'is odd' }] };
        },
      },
    });
    expect(await refresh()).toEqual({ type: 'refreshed' });
  });
});

describeFlow('a configuration', (world) => {
  it('is declared by two replicas at once without a conflict', async () => {
    const [a, b] = [await world().boot({ replica_id: 'replica-a' }), await world().boot({ replica_id: 'replica-b' })];
    const input = { config: { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth' }, description: '' };
    await Promise.all([a.connections.declare(KEY, input), b.connections.declare(KEY, input)]);
    expect(await a.connections.get(KEY)).toMatchObject({ source: 'file', config: { auth_mode: 'oauth' } });
  });

  it('may name the very issuer that the token is bound to, and keeps the token', async () => {
    await world().connected();
    const { connections } = await world().boot();
    const { config } = await connections.get(KEY);
    await connections.put(KEY, { config: { ...config, oauth2_issuer: 'https://idp.example' } }, 'ada');
    expect(await world().credential()).toMatchObject({ state: 'connected' });
    expect(await world().eventTypes()).toEqual([]);
  });
});

describeFlow('a graceful stop', (world) => {
  it('says loudly which reply was never written anywhere (rule 12)', async () => {
    await world().connected();
    const process = await world().boot({
      credentials: { settle: DOWN },
      escrow: { write: () => Promise.reject(new Error('ENOSPC')) },
    });
    void process.refresh();
    await world().sent(1);
    await expect.poll(() => world().messages('error').length).toBeGreaterThan(0);
    await process.keeper.abandon();
    expect(await world().eventTypes()).toEqual(['refresh_rotation_persistence_failed']);
  });
});
