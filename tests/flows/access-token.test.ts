import { expect, it, vi } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import * as fixture from '../suites/store-fixture.ts';
import { answer, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE, NOON, never } from './world.ts';

describeFlow('an access token for a call', (world) => {
  const reveal = async (promise: Promise<Secret>) => (await promise).reveal();
  const tokenSet = (expires_at: number | null, refresh_token: Secret | undefined = new Secret('refresh-f0t0')) => ({
    token_set: {
      access_token: new Secret('access-f0t0'),
      ...(refresh_token ? { refresh_token } : {}),
      token_type: 'Bearer',
      expires_at,
      refresh_expires_at: null,
      scope: null,
      received_at: NOON,
    },
  });

  it('comes from memory while it lasts', async () => {
    const { stores } = world();
    await world().connected();
    const readAccessToken = vi.fn(stores.credentials.readAccessToken);
    const { accessToken } = await world().boot({ credentials: { readAccessToken } });
    for (const _call of [1, 2, 3]) expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
    expect(readAccessToken).toHaveBeenCalledTimes(1);
    expect(world().server.presented).toHaveLength(0);
  });

  it('is read anew after a notice of its change, and after a lost connection of all', async () => {
    const { notifier, stores } = world();
    await world().connected();
    const readAccessToken = vi.fn(stores.credentials.readAccessToken);
    const { accessToken } = await world().boot({ credentials: { readAccessToken } });
    await accessToken(KEY);
    await world().connected('g0');
    await notifier.publish('credentials', 'mcp/other');
    expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
    await notifier.publish('credentials', 'mcp/acme');
    expect(await reveal(accessToken(KEY))).toBe('access-g0t0');
    await notifier.publish('credentials', '');
    await accessToken(KEY);
    expect(readAccessToken).toHaveBeenCalledTimes(3);
  });

  it('does not cache what was read before a notice', async () => {
    const { notifier, stores } = world();
    await world().connected();
    const gate = deferred();
    const { accessToken } = await world().boot({
      credentials: {
        async readAccessToken(key) {
          const row = await stores.credentials.readAccessToken(key);
          await gate.promise;
          return row;
        },
      },
    });
    const early = accessToken(KEY);
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-f0t0'));
    await world().connected('g0');
    await notifier.publish('credentials', 'mcp/acme');
    gate.resolve();
    await early;
    expect(await reveal(accessToken(KEY))).toBe('access-g0t0');
  });

  it('is refreshed when it has ended, ten seconds before at most', async () => {
    const { clock, server } = world();
    await world().connected();
    const { accessToken } = await world().boot();
    await clock.advance(HOUR - 10_001);
    expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
    await clock.advance(1);
    expect(await reveal(accessToken(KEY))).toBe('access-f0t1');
    expect(server.presented).toHaveLength(1);
    expect((await world().events())[0]).toMatchObject({ actor: 'system:tool-call', detail: { reason: 'tool_call' } });
  });

  it('keeps a margin of a tenth for short-lived tokens', async () => {
    await world().connected('f0', KEY, tokenSet(NOON + 20_000));
    const { accessToken } = await world().boot();
    await world().clock.advance(17_999);
    expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
    await world().clock.advance(1);
    expect(await reveal(accessToken(KEY))).toBe('access-f0t1');
  });

  it('is refreshed once when the upstream refuses it (lesson 14)', async () => {
    const { server } = world();
    await world().connected();
    const { accessToken } = await world().boot();
    const rejected = await accessToken(KEY);
    await world().pass(MINUTE);
    expect(await reveal(accessToken(KEY, { rejected }))).toBe('access-f0t1');
    expect(await reveal(accessToken(KEY, { rejected }))).toBe('access-f0t1');
    expect(server.presented).toHaveLength(1);
    expect((await world().events())[0]?.detail.reason).toBe('upstream_401');
  });

  it('is only read again when somebody else brought a newer one meanwhile (lesson 1)', async () => {
    const { server } = world();
    await world().connected();
    const { accessToken } = await world().boot({ notifier: { publish: async () => {}, subscribe: () => () => {} } });
    const rejected = await accessToken(KEY);
    await world().connected('g0');
    expect(await reveal(accessToken(KEY, { rejected }))).toBe('access-g0t0');
    expect(server.presented).toHaveLength(0);
  });

  it('of unknown expiry is never refreshed per call (lesson 10)', async () => {
    const { server, clock } = world();
    await world().connected('f0', KEY, tokenSet(null));
    const { accessToken } = await world().boot();
    for (const _call of [1, 2, 3]) {
      expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
      await clock.advance(100 * HOUR);
    }
    expect(server.presented).toHaveLength(0);
  });

  it('in its last seconds is better than none, when the refresh fails', async () => {
    const { server, clock } = world();
    await world().connected();
    const { accessToken } = await world().boot();
    server.onRefresh(() => answer('', { status: 429 }));
    await clock.advance(HOUR - 5_000);
    expect(await reveal(accessToken(KEY))).toBe('access-f0t0');
    await clock.advance(5_000);
    await expect(accessToken(KEY)).rejects.toMatchObject({
      code: 'unavailable',
      retry_after: 30,
      message: expect.stringContaining('idp.example did not refresh the token (rate_limited)'),
    });
  });

  it('stops waiting with its caller', async () => {
    const { server, clock } = world();
    await world().connected();
    server.onRefresh(never);
    const { accessToken } = await world().boot();
    await clock.advance(HOUR);
    const caller = new AbortController();
    const call = accessToken(KEY, { signal: caller.signal });
    await world().sent(1);
    caller.abort();
    await expect(call).rejects.toMatchObject({
      code: 'unavailable',
      retry_after: 5,
      message: expect.stringContaining('the caller stopped waiting'),
    });
  });

  const refused: [string, () => Promise<unknown>, string, string][] = [
    ['there is no such connection', async () => undefined, 'needs_person', 'does not exist'],
    ['it was never connected', () => fixture.create(world().stores), 'needs_person', 'Connect it in the portal'],
    [
      'its grant ended',
      async () => {
        await world().connected();
        world().server.kill('f0');
        const { refresh } = await world().boot();
        return refresh();
      },
      'needs_person',
      'mcp/acme: its token is gone since 2026-11-23T12:00:00.000Z (invalid_grant). Reconnect it in the portal.',
    ],
    [
      'it ended while it was asked for',
      async () => {
        await world().connected();
        world().server.kill('f0');
        return world().clock.advance(HOUR);
      },
      'needs_person',
      '(invalid_grant). Reconnect',
    ],
    [
      'the client is misconfigured',
      async () => {
        await world().connected();
        world().server.onRefresh(() => answer({ error: 'invalid_client' }, { status: 401 }));
        return world().clock.advance(HOUR);
      },
      'unavailable',
      'idp.example refuses the OAuth client (invalid_client). An operator must correct',
    ],
  ];

  it.each(refused)('is refused with what to do, when %s', async (_name, prepare, code, message) => {
    await prepare();
    const { accessToken } = await world().boot();
    await expect(accessToken(KEY)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('is refused when the upstream refuses it and there is no refresh token', async () => {
    await world().connected('f0', KEY, { token_set: { ...fixture.tokens('f0t0'), refresh_token: undefined } });
    const { accessToken } = await world().boot();
    const rejected = await accessToken(KEY);
    await expect(accessToken(KEY, { rejected })).rejects.toMatchObject({
      code: 'needs_person',
      message: expect.stringContaining('idp.example gave no refresh token'),
    });
  });

  it('is refused when the upstream refuses even the newest, without a second refresh', async () => {
    const { server } = world();
    await world().connected();
    const { accessToken } = await world().boot();
    server.onRefresh(() => answer({ access_token: 'access-f0t0', refresh_token: 'refresh-f0t1' }));
    const rejected = await accessToken(KEY);
    await world().pass(MINUTE);
    await expect(accessToken(KEY, { rejected })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('refuses the newest access token'),
    });
    expect(server.presented).toHaveLength(1);
  });

  it('is refused when it cannot be decrypted', async () => {
    const { stores } = world();
    await world().connected();
    const { accessToken } = await world().boot({
      credentials: {
        async readAccessToken(key) {
          const row = await stores.credentials.readAccessToken(key);
          return row && { ...row, access_token: null };
        },
      },
    });
    await expect(accessToken(KEY)).rejects.toMatchObject({
      code: 'needs_person',
      message: expect.stringContaining('cannot be decrypted'),
    });
    await world().clock.advance(MINUTE);
  });
});
