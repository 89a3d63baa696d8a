import { expect, it } from 'vitest';
import { parseConnectionConfig } from '../../src/core/connection.ts';
import { AppError } from '../../src/core/errors.ts';
import * as fixture from '../suites/store-fixture.ts';
import { answer, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE, NOON } from './world.ts';

const ADA = 'ada@example.com';
const CONFIG = {
  endpoint: 'https://mcp.example/mcp',
  auth_mode: 'oauth',
  oauth2_grant: 'client_credentials',
  oauth2_token_url: 'https://idp.example/token',
  oauth2_client_id: 'robot',
  oauth2_client_secret: 'hush',
  oauth2_scope: 'read',
};
const refused = (error: string) => () => answer({ error }, { status: 400 });

describeFlow('a connection that asks in its own name', (world) => {
  async function saved(config: Record<string, unknown> = {}) {
    const process = await world().boot();
    const { connection } = await process.connections.put(KEY, { config: { ...CONFIG, ...config } }, ADA);
    return { process, oauth: connection.oauth };
  }
  const asked = () => world().server.asked;

  it('has its first token as soon as it is saved, and nobody signs in', async () => {
    const { oauth } = await saved();
    expect(oauth).toMatchObject({
      grant: 'client_credentials',
      state: 'connected',
      health: 'ok',
      needs_person: false,
      renewal: 'proven',
      scope: 'read',
      has_refresh_token: false,
      findings: [],
      forecast: { lives_until: null, reason: 'client_credentials' },
      next_refresh_reason: 'access_token_expiring',
    });
    expect(await world().accessToken()).toBe('access-own1');
    expect(asked()[0]?.binding).toMatchObject({ client_id: 'robot', scope: 'read', grant: 'client_credentials' });
    expect(asked()[0]?.client_secret?.reveal()).toBe('hush');
    expect(await world().events()).toMatchObject([
      { event_type: 'connect_started', actor: ADA },
      { event_type: 'connect_completed', detail: { has_refresh_token: false } },
    ]);
    expect((await world().events())[1]?.detail.grade).toBeUndefined();
  });

  it('is renewed before its token ends, without traffic, and through the one door', async () => {
    const { process } = await saved();
    await world().pass(58 * MINUTE);
    await process.keepalive.runOnce();
    await expect.poll(() => world().accessToken()).toBe('access-own2');
    await process.keepalive.stop();
    expect(world().server.presented).toEqual([]);
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'refresh_succeeded',
      actor: 'system:background-refresh',
      detail: { reason: 'access_token_expiring', rotated_refresh: false },
    });
    const { next_refresh_at } = await world().credential();
    expect(next_refresh_at).toBeGreaterThan(world().clock.now() + 50 * MINUTE);
  });

  it('is asked for again by itself where the first token could not be had, with growing pauses, until it is there', async () => {
    world().server.onAsk(refused('invalid_client'), refused('temporarily_unavailable'));
    const { process, oauth } = await saved();
    expect(oauth?.state).toBe('never_connected');
    await process.firstTokens.runOnce();
    expect(asked()).toHaveLength(1);
    await world().pass(MINUTE);
    await process.firstTokens.runOnce();
    expect(asked()).toHaveLength(2);
    await process.firstTokens.runOnce();
    expect(asked()).toHaveLength(2);
    await world().pass(2 * MINUTE);
    await process.firstTokens.runOnce();
    expect(await world().accessToken()).toBe('access-own3');
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'connect_completed',
      actor: 'system:background-refresh',
    });
    await world().pass(HOUR);
    await process.firstTokens.runOnce();
    expect(asked()).toHaveLength(3);
  });

  it('is not asked for again after a Disconnect, although it was never connected', async () => {
    world().server.onAsk(refused('invalid_client'));
    const { process } = await saved();
    await process.disconnect();
    await world().pass(HOUR);
    await process.firstTokens.runOnce();
    expect(asked()).toHaveLength(1);
    const next = await world().boot();
    next.firstTokens.start();
    await world().pass(HOUR);
    await next.firstTokens.stop();
    expect(asked()).toHaveLength(1);
    expect(await world().credential()).toMatchObject({ state: 'never_connected' });
  });

  it('is asked for by the next process, too, when the one that was told of it has ended', async () => {
    world().server.onAsk(refused('temporarily_unavailable'));
    await saved();
    const next = await world().boot();
    next.firstTokens.start();
    await expect
      .poll(async () => {
        await world().pass(MINUTE);
        return world().credential();
      })
      .toMatchObject({ state: 'connected' });
    await next.firstTokens.stop();
  });

  it('is asked for by the next process after its destination was changed, too: a change is no Disconnect', async () => {
    const { process } = await saved();
    const moved = { ...CONFIG, oauth2_token_url: 'https://other.example/token' };
    world().server.onAsk(refused('temporarily_unavailable'));
    await process.connections.put(KEY, { config: moved }, ADA);
    expect(await world().credential()).toMatchObject({
      state: 'revoked',
      revocation: { reason: 'destination_changed' },
    });
    const next = await world().boot();
    next.firstTokens.start();
    await expect
      .poll(async () => {
        await world().pass(MINUTE);
        return world().credential();
      })
      .toMatchObject({ state: 'connected' });
    await next.firstTokens.stop();
  });

  it('waits for no other, whose server does not answer', async () => {
    const other = { kind: 'mcp', name: 'other' };
    world().server.onAsk(refused('temporarily_unavailable'), refused('temporarily_unavailable'));
    const { process } = await saved();
    await process.connections.put(other, { config: CONFIG }, ADA);
    const silent = deferred<ReturnType<typeof answer>>();
    world().server.onAsk(() => silent.promise);
    await world().pass(MINUTE);
    const asking = process.firstTokens.runOnce();
    await expect.poll(async () => (await world().credential(other)).state).toBe('connected');
    expect(await world().credential()).toMatchObject({ state: 'never_connected' });
    silent.resolve(answer({ access_token: 'late', token_type: 'Bearer', expires_in: 3600 }));
    await asking;
    expect(await world().accessToken()).toBe('late');
  });

  it('keeps no refresh token that is given against the RFC', async () => {
    world().server.onAsk(() => answer({ access_token: 'a', token_type: 'Bearer', expires_in: 60, refresh_token: 'r' }));
    const { oauth } = await saved();
    expect(oauth).toMatchObject({ has_refresh_token: false, state: 'connected' });
    expect((await world().stores.credentials.readForAttempt(KEY))?.secrets?.refresh_token).toBeNull();
  });

  it.each(['invalid_grant', 'invalid_client', 'invalid_scope'])(
    'never ends by %s: the client is refused, is kept, and heals when it is corrected',
    async (error) => {
      const { process } = await saved();
      world().server.onAsk(refused(error));
      await process.refresh();
      const { oauth } = await process.connections.get(KEY);
      expect(oauth).toMatchObject({ state: 'connected', health: 'client_misconfigured', needs_reauth: false });
      expect(oauth?.summary).toContain('correct the client id, secret or scope');
      await process.connections.put(KEY, { config: { ...CONFIG, oauth2_client_secret: 'right' } }, ADA);
      await process.keepalive.runOnce();
      await expect.poll(() => world().accessToken()).toBe('access-own3');
      await process.keepalive.stop();
      expect(asked().at(-1)?.client_secret?.reveal()).toBe('right');
    },
  );

  it('uses the client and the scope as they are configured now: nobody consented to others', async () => {
    const { process } = await saved();
    const config = { ...CONFIG, oauth2_client_id: 'another', oauth2_client_secret: 'its own', oauth2_scope: 'write' };
    await process.connections.put(KEY, { config }, ADA);
    await process.refresh();
    expect(asked().at(-1)).toMatchObject({ binding: { client_id: 'another', scope: 'write' } });
    expect(asked().at(-1)?.client_secret?.reveal()).toBe('its own');
  });

  it('asks again after an attempt with an unknown outcome: there is no token that could be spent twice', async () => {
    const { process } = await saved();
    world().server.onAsk(async () => ({ type: 'unknown', error_class: 'reset' }) as const);
    await process.refresh();
    await world().pass(process.settings.listening_lease);
    expect(await process.refresh()).toEqual({ type: 'refreshed' });
  });

  it('is saved although its server gives no token; the history and the status say so, and a click asks again', async () => {
    world().server.onAsk(refused('invalid_client'));
    const { process, oauth } = await saved();
    expect(oauth).toMatchObject({ state: 'never_connected', needs_reauth: true });
    expect(oauth?.summary).toContain('Get a token');
    expect(await world().events()).toMatchObject([
      { event_type: 'connect_started' },
      { event_type: 'connect_failed', detail: { step: 'token_exchange', idp_error_code: 'invalid_client' } },
    ]);
    world().server.onAsk(refused('invalid_client'));
    await expect(process.clientCredentials.acquire(KEY, ADA)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('idp.example refused a token (invalid_client). Check oauth2_client_id'),
    });
    await process.clientCredentials.acquire(KEY, ADA);
    expect(await world().accessToken()).toBe('access-own3');
  });

  it('tells the step when its server cannot be found', async () => {
    world().server.discoverFails = new AppError('discovery_failed', 'not found');
    const { process } = await saved();
    await expect(process.clientCredentials.acquire(KEY, ADA)).rejects.toMatchObject({ code: 'discovery_failed' });
    expect(await world().events()).toMatchObject([
      { event_type: 'connect_failed', detail: { step: 'discovery' } },
      { event_type: 'connect_failed', detail: { step: 'discovery' } },
    ]);
  });

  it('stays disconnected once a person has said so, whatever is saved; only a click asks again', async () => {
    const { process } = await saved();
    await process.disconnect();
    await process.connections.put(KEY, { config: { ...CONFIG, call_timeout: '10s' } }, ADA);
    await process.keepalive.runOnce();
    await process.keepalive.stop();
    expect(await world().credential()).toMatchObject({ state: 'revoked', revocation: { reason: 'disconnected' } });
    expect(asked()).toHaveLength(1);
    await process.clientCredentials.acquire(KEY, ADA);
    expect(await world().accessToken()).toBe('access-own2');
  });

  it('gets no token by an answer that comes after a Disconnect (rule 3)', async () => {
    const { process } = await saved();
    await process.disconnect();
    const late = deferred<ReturnType<typeof answer>>();
    world().server.onAsk(() => late.promise);
    const click = process.clientCredentials.acquire(KEY, ADA);
    await expect.poll(() => asked().length).toBe(2);
    await process.disconnect();
    late.resolve(answer({ access_token: 'late', token_type: 'Bearer', expires_in: 3600 }));
    await expect(click).rejects.toThrow('was changed, disconnected or connected anew');
    expect((await world().credential()).state).toBe('revoked');
  });

  it('drops its token when the grant changes, in either direction, and says so', async () => {
    const { process } = await saved();
    const { oauth2_grant: _grant, ...person } = CONFIG;
    await process.connections.put(KEY, { config: person }, ADA);
    expect(await world().credential()).toMatchObject({ state: 'revoked', revocation: { reason: 'grant_changed' } });
    const { oauth } = await process.connections.get(KEY);
    expect(oauth).toMatchObject({
      grant: 'authorization_code',
      summary: expect.stringMatching(/Reconnect it in a browser\.$/),
    });
    expect(await process.authorize.start(KEY, { actor: ADA })).toHaveProperty('authorization_url');
    await world().connected('f0', KEY);
    const { connection } = await process.connections.put(KEY, { config: CONFIG }, ADA);
    expect(connection.oauth).toMatchObject({ state: 'connected', grant: 'client_credentials' });
    const dropped = (await world().events()).filter(({ event_type }) => event_type === 'token_deleted_admin');
    expect(dropped.map(({ detail }) => detail.reason)).toEqual(['grant_changed', 'grant_changed']);
    expect(await world().accessToken()).toBe('access-own2');
  });

  it('cannot be connected by a person, and one of a person cannot be asked for in our name', async () => {
    const { process } = await saved();
    await expect(process.authorize.start(KEY, { actor: ADA })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('nobody signs in'),
    });
    const other = { kind: 'mcp', name: 'person' };
    await fixture.create(world().stores, other);
    await expect(process.clientCredentials.acquire(other, ADA)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('asks once, however many click', async () => {
    world().server.onAsk(refused('invalid_client'));
    const { process } = await saved();
    await Promise.all([1, 2, 3].map(() => process.clientCredentials.acquire(KEY, ADA)));
    expect(asked()).toHaveLength(2);
  });

  it('is asked for by a configuration file, which no start waits for', async () => {
    const process = await world().boot();
    const slow = deferred();
    world().server.onAsk(async (honest) => {
      await slow.promise;
      return honest();
    });
    await process.connections.declare(KEY, { config: CONFIG, description: '' });
    expect((await world().credential()).state).toBe('never_connected');
    slow.resolve();
    await expect.poll(() => world().accessToken()).toBe('access-own1');
    expect(await world().credential()).toMatchObject({ token: { expires_at: NOON + HOUR } });
  });

  it('needs a client with a secret, and the fields are named', () => {
    const parsed = parseConnectionConfig(fixture.schemas, 'mcp', {
      endpoint: CONFIG.endpoint,
      auth_mode: 'oauth',
      oauth2_grant: 'client_credentials',
      oauth2_token_endpoint_auth_method: 'none',
    });
    expect(parsed).toEqual({
      ok: false,
      issues: [
        { path: 'oauth2_client_id', message: 'is required when oauth2_grant is client_credentials' },
        { path: 'oauth2_client_secret', message: 'is required when oauth2_grant is client_credentials' },
        {
          path: 'oauth2_token_endpoint_auth_method',
          message: 'must not be none when oauth2_grant is client_credentials',
        },
      ],
    });
  });
});
