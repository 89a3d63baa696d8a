import { expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { RevocationReply } from '../../src/core/ports.ts';
import * as fixture from '../suites/store-fixture.ts';
import { deferred } from '../support/ports.ts';
import { binding, describeFlow, HOUR, KEY, MINUTE, NOON } from './world.ts';

const ADA = 'ada@example.com';
const DAY = 24 * HOUR;
const BUSY: RevocationReply = {
  type: 'failed',
  error_class: 'unavailable',
  idp_error_code: null,
  http_status: 503,
  retry_after: null,
};

describeFlow('an operator disconnects', (world) => {
  const both = ['refresh-f0t0', 'access-f0t0'];
  const pending = () => world().stores.revocations.nextDueAt();

  it('and the token is gone here and there, the refresh token first; the history has who, when and what (lesson 51)', async () => {
    await world().connected();
    const { disconnect } = await world().boot();
    expect(await disconnect()).toEqual({ upstream: 'revoked', idp_host: 'idp.example' });
    expect(world().server.revoked).toEqual(both);
    expect(await world().credential()).toMatchObject({
      state: 'revoked',
      next_refresh_at: null,
      revocation: { reason: 'disconnected', decided_by: 'person', idp_host: 'idp.example' },
    });
    expect(await world().accessToken()).toBeUndefined();
    expect(await world().events()).toMatchObject([
      {
        event_type: 'token_deleted_admin',
        actor: ADA,
        occurred_at: new Date(NOON).toISOString(),
        detail: { reason: 'disconnected', decided_by: 'person', upstream_revocation: 'requested' },
      },
      { event_type: 'token_revoked_upstream', actor: ADA, detail: { token_type_hint: 'refresh_token' } },
      { event_type: 'token_revoked_upstream', actor: ADA, detail: { token_type_hint: 'access_token' } },
    ]);
    expect(world().notifier.published).toEqual(['credentials mcp/acme']);
    expect(await pending()).toBeNull();
  });

  it('and no consent that was begun before lands after it (rules 3, 19; trace 12)', async () => {
    const { incarnation } = await world().connected();
    const { stores } = world();
    await stores.consents.create('begun', fixture.pendingConsent(incarnation));
    await stores.consents.create('exchanging', fixture.pendingConsent(incarnation));
    const exchanging = await stores.consents.consume('exchanging');
    const { disconnect } = await world().boot();
    await disconnect();
    expect(await stores.consents.consume('begun')).toBeUndefined();
    const seq = exchanging?.consent_seq ?? 0n;
    const late = await fixture.settle(stores, fixture.consent(incarnation, seq), fixture.connectedChange(seq));
    expect(late.applied).toBe(false);
    expect((await world().credential()).state).toBe('revoked');
    await world().connected('g0');
    expect((await world().credential()).state).toBe('connected');
  });

  it('ends a consent on what was never connected, which stays so', async () => {
    const { incarnation } = await fixture.create(world().stores);
    await world().stores.consents.create('begun', fixture.pendingConsent(incarnation));
    const { disconnect } = await world().boot();
    expect(await disconnect()).toEqual({ upstream: 'nothing', idp_host: null });
    expect(await world().stores.consents.consume('begun')).toBeUndefined();
    expect(await world().credential()).toMatchObject({ state: 'never_connected', revocation: null });
    expect(await world().eventTypes()).toEqual([]);
  });

  it('wins over a refresh that is under way; its late token is revoked, too (rule 20)', async () => {
    await world().connected();
    const gate = deferred();
    world().server.onRefresh(async (honest) => {
      const reply = honest();
      await gate.promise;
      return reply;
    });
    const { refresh, disconnect } = await world().boot();
    const refreshing = refresh();
    await world().sent(1);
    await disconnect();
    gate.resolve();
    expect(await refreshing).toMatchObject({ type: 'revoked', revocation: { reason: 'disconnected' } });
    expect(world().server.revoked).toEqual([...both, 'refresh-f0t1', 'access-f0t1']);
    expect(await world().accessToken()).toBeUndefined();
  });

  it('disconnects what a refresh has just brought', async () => {
    const { stores } = world();
    await world().connected();
    let refreshed = false;
    const { disconnect } = await world().boot({
      credentials: {
        async read(key) {
          const row = await stores.credentials.read(key);
          if (!refreshed && row) {
            refreshed = true;
            await fixture.settle(stores, fixture.at(row), fixture.refreshedChange('f0t1'));
          }
          return row;
        },
      },
    });
    await disconnect();
    expect(world().server.revoked).toEqual(['refresh-f0t1', 'access-f0t1']);
    expect((await world().credential()).state).toBe('revoked');
  });

  it('retries the revocation over an outage and a restart, and tells of the first failure alone', async () => {
    const { server } = world();
    await world().connected();
    server.revokeAnswers = BUSY;
    const first = await world().boot();
    expect((await first.disconnect()).upstream).toBe('pending');
    first.kill();
    const second = await world().boot();
    for (const _attempt of [1, 2, 3]) {
      await world().pass(HOUR);
      await second.revoker.runOnce();
    }
    expect(server.revoked).toEqual(Array(4).fill('refresh-f0t0'));
    server.revokeAnswers = { type: 'revoked' };
    await world().pass(HOUR);
    await second.revoker.runOnce();
    expect(server.revoked.slice(4)).toEqual(both);
    expect(await world().eventTypes()).toEqual([
      'token_deleted_admin',
      'token_revocation_failed',
      'token_revoked_upstream',
      'token_revoked_upstream',
    ]);
    expect((await world().events())[1]?.detail).toMatchObject({
      reason: 'retried',
      http_status: 503,
      error_class: 'unavailable',
      token_type_hint: 'refresh_token',
      retry_at: expect.any(String),
    });
    expect(await pending()).toBeNull();
  });

  it('is not undone by a process that dies before it has asked the provider', async () => {
    await world().connected();
    const dead = await world().boot();
    world().server.revokeNext.push(() => new Promise(() => undefined));
    void dead.disconnect();
    await expect.poll(() => world().server.revoked).toHaveLength(1);
    const next = await world().boot();
    await next.revoker.runOnce();
    expect(world().server.revoked).toHaveLength(1);
    await world().pass(3 * MINUTE);
    await next.revoker.runOnce();
    expect(world().server.revoked).toEqual(['refresh-f0t0', ...both]);
  });

  it('asks first for the refresh token, then only for what is left', async () => {
    await world().connected();
    world().server.revokeNext.push(
      async () => ({ type: 'revoked' }),
      async () => BUSY,
    );
    const { disconnect, revoker } = await world().boot();
    expect((await disconnect()).upstream).toBe('pending');
    await world().pass(HOUR);
    await revoker.runOnce();
    expect(world().server.revoked).toEqual([...both, 'access-f0t0']);
    expect(await pending()).toBeNull();
  });

  it('has ended the grant with its refresh token, though an access token cannot be called back (RFC 7009 §2.1)', async () => {
    await world().connected();
    world().server.revokeNext.push(
      async () => ({ type: 'revoked' }),
      async () => ({ type: 'unsupported', idp_error_code: 'unsupported_token_type', http_status: 400 }),
    );
    const { disconnect } = await world().boot();
    expect((await disconnect()).upstream).toBe('revoked');
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'token_revocation_failed',
      detail: { token_type_hint: 'access_token', idp_error_code: 'unsupported_token_type', reason: 'unsupported' },
    });
    expect(await pending()).toBeNull();
  });

  it('says so when the server does not revoke refresh tokens (RFC 7009 §2.2.1)', async () => {
    await world().connected();
    world().server.revokeNext.push(
      async () => ({ type: 'unsupported', idp_error_code: 'unsupported_token_type', http_status: 400 }),
      async () => ({ type: 'revoked' }),
    );
    const { disconnect } = await world().boot();
    expect((await disconnect()).upstream).toBe('failed');
    expect(await pending()).toBeNull();
  });

  it('says plainly that a server has no revocation endpoint, in the result and in the history', async () => {
    await world().connected('f0', KEY, { binding: { ...binding, revocation_endpoint: null } });
    const { disconnect } = await world().boot();
    expect(await disconnect()).toEqual({ upstream: 'unsupported', idp_host: 'idp.example' });
    expect(world().server.revoked).toEqual([]);
    expect((await world().events())[0]?.detail).toMatchObject({ upstream_revocation: 'unsupported' });
    expect(await pending()).toBeNull();
  });

  it('uses a revocation endpoint that was typed after the consent', async () => {
    const oauth2_revocation_url = 'https://idp.example/typed-later';
    await world().connected(
      'f0',
      KEY,
      { binding: { ...binding, revocation_endpoint: null } },
      { oauth2_revocation_url },
    );
    const { disconnect } = await world().boot();
    expect((await disconnect()).upstream).toBe('revoked');
  });

  it('gives up after thirty days, and says so', async () => {
    await world().connected();
    world().server.revokeAnswers = BUSY;
    const { disconnect, revoker } = await world().boot();
    await disconnect();
    await world().pass(30 * DAY);
    await revoker.runOnce();
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'token_revocation_failed',
      detail: { reason: 'given_up', http_status: 503 },
    });
    expect(await pending()).toBeNull();
  });

  it('never lets a late revocation end a newer consent: it is dropped, and the history says why (rule 20)', async () => {
    await world().connected();
    world().server.revokeAnswers = BUSY;
    const { disconnect, revoker } = await world().boot();
    await disconnect();
    await world().connected('g0');
    await world().pass(HOUR);
    await revoker.runOnce();
    expect(world().server.revoked).toEqual(['refresh-f0t0']);
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'token_revocation_failed',
      detail: { reason: 'connected_again' },
    });
    expect(await world().accessToken()).toBe('access-g0t0');
    expect(await pending()).toBeNull();
  });

  it('is refused for what is not there or holds no token of OAuth', async () => {
    const { disconnect } = await world().boot();
    await expect(disconnect()).rejects.toMatchObject({ code: 'not_found' });
    await fixture.create(world().stores, KEY, { auth_mode: 'none' });
    await expect(disconnect()).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('leaves everything as it was when the database refuses', async () => {
    await world().connected();
    const { disconnect } = await world().boot({
      credentials: { settle: () => Promise.reject(new AppError('database_unavailable', 'down')) },
    });
    await expect(disconnect()).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(await world().accessToken()).toBe('access-f0t0');
    expect(world().server.revoked).toEqual([]);
  });

  it('is kept in the list when its boxes do not open, until it is too old', async () => {
    const { stores } = world();
    await world().connected();
    world().server.revokeAnswers = BUSY;
    const { disconnect, revoker } = await world().boot({});
    await disconnect();
    const claimDue = stores.revocations.claimDue;
    stores.revocations.claimDue = async (query) =>
      (await claimDue(query)).map(({ id, key, actor, created_at }) => ({
        ...{ unreadable: true, id, key, actor, created_at },
        binding,
      }));
    await world().pass(DAY);
    await revoker.runOnce();
    expect(await pending()).not.toBeNull();
    await world().pass(30 * DAY);
    await revoker.runOnce();
    expect(await pending()).toBeNull();
    expect(world().server.revoked).toHaveLength(1);
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'token_revocation_failed',
      actor: 'ada@example.com',
      idp_host: 'idp.example',
      detail: { reason: 'unreadable' },
    });
  });
});
