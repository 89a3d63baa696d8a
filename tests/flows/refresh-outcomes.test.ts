import { expect, it } from 'vitest';
import type { AuthEvent } from '../../src/core/auth-event.ts';
import { Secret } from '../../src/core/redact.ts';
import type { TokenReply } from '../../src/core/token-response.ts';
import { answer, INVALID_GRANT } from '../support/ports.ts';
import { binding, describeFlow, HOUR, KEY, MINUTE, NOON } from './world.ts';

const DELETED_BY_IDP = 'token row deleted: refresh rejected by IdP';
const DELETED_BY_US = 'token row deleted: cannot be refreshed';

type Detail = Partial<AuthEvent['detail']>;
const html = (status: number) => answer('<html><body>Blocked</body></html>', { status, media_type: 'text/html' });

describeFlow('what a reply of the token endpoint does to the token (lesson 9)', (world) => {
  async function refreshedWith(reply: TokenReply, config = {}, more = {}) {
    const { server, random } = world();
    random.next = 0;
    await world().connected('f0', KEY, more, config);
    const { refresh } = await world().boot();
    server.onRefresh(() => reply);
    return refresh({ reason: 'tool_call' });
  }

  const kept: [string, TokenReply, 'transient' | 'misconfigured', boolean, Detail, number][] = [
    ['HTML with 401', html(401), 'transient', true, { step: 'unreadable', http_status: 401 }, 5_000],
    ['HTML with 403', html(403), 'transient', true, { step: 'unreadable', http_status: 403 }, 5_000],
    ['HTML with 502', html(502), 'transient', true, { step: 'server_error', http_status: 502 }, 5_000],
    ['503 alone', html(503), 'transient', true, { step: 'server_error', http_status: 503 }, 5_000],
    ['an empty body', answer(''), 'transient', true, { step: 'unreadable', http_status: 200 }, 5_000],
    ['truncated JSON', answer('{"access_tok'), 'transient', true, { step: 'unreadable' }, 5_000],
    ['a redirect', answer('', { status: 302 }), 'transient', true, { step: 'unreadable', http_status: 302 }, 5_000],
    ['a reset', { type: 'unknown', error_class: 'reset' }, 'transient', true, { step: 'reset' }, 5_000],
    ['a silence', { type: 'unknown', error_class: 'timeout' }, 'transient', true, { step: 'timeout' }, 5_000],
    ['no DNS', { type: 'not_sent', error_class: 'dns' }, 'transient', false, { error_class: 'dns' }, 5_000],
    ['no route', { type: 'not_sent', error_class: 'connect' }, 'transient', false, { error_class: 'connect' }, 5_000],
    ['no TLS', { type: 'not_sent', error_class: 'tls' }, 'transient', false, { error_class: 'tls' }, 5_000],
    [
      '429 with Retry-After',
      answer('', { status: 429, retry_after: 120 }),
      'transient',
      false,
      { error_class: 'rate_limited', http_status: 429 },
      120_000,
    ],
    [
      '503 with Retry-After',
      answer('', { status: 503, retry_after: 7 }),
      'transient',
      false,
      { error_class: 'unavailable', http_status: 503 },
      7_000,
    ],
    [
      'temporarily_unavailable',
      answer({ error: 'temporarily_unavailable' }, { status: 503 }),
      'transient',
      false,
      { error_class: 'structured', idp_error_code: 'temporarily_unavailable' },
      5_000,
    ],
    [
      'a code that nobody knows',
      answer({ error: 'odd_code' }),
      'transient',
      false,
      { error_class: 'structured', idp_error_code: 'odd_code', http_status: 200 },
      5_000,
    ],
    ...['invalid_client', 'unauthorized_client', 'invalid_scope', 'invalid_request', 'unsupported_grant_type'].map(
      (error): (typeof kept)[number] => [
        error,
        answer({ error, error_description: 'said-in-confidence' }, { status: 401 }),
        'misconfigured',
        false,
        { error_class: 'structured', idp_error_code: error, http_status: 401 },
        15 * MINUTE,
      ],
    ),
  ];

  it.each(kept)('keeps it after %s', async (_name, reply, type, ambiguous, detail, pause) => {
    const result = await refreshedWith(reply);
    expect(result).toMatchObject({ type: 'failed', failure: { type, since: NOON, last_at: NOON, count: 1 } });
    const row = await world().credential();
    expect(row).toMatchObject({ state: 'connected', ambiguous, next_refresh_at: NOON + pause });
    expect(row.next_refresh_reason).toBe('retry');
    expect(row.intent === null).toBe(!ambiguous);
    expect(await world().accessToken()).toBe('access-f0t0');
    const events = await world().events();
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      event_type: type === 'misconfigured' ? 'refresh_failed_misconfigured' : 'refresh_failed_transient',
      actor: 'ada@example.com',
      idp_host: 'idp.example',
      detail: { reason: 'tool_call', ...(ambiguous ? { ambiguous: true, error_class: 'ambiguous' } : {}), ...detail },
    });
    expect(events[0]?.detail.retry_at).toBe(new Date(NOON + pause).toISOString());
    expect(world().messages()).toEqual(
      type === 'misconfigured' ? ['refresh refused: the client is misconfigured; the token is kept'] : [],
    );
    expect(JSON.stringify([events, world().log.lines])).not.toMatch(/refresh-f0|access-f0|said-in-confidence|Blocked/);
  });

  const dead: [string, TokenReply, object, string, string][] = [
    ['invalid_grant', INVALID_GRANT, {}, 'invalid_grant', 'invalid_grant'],
    ['invalid_grant with status 200', answer({ error: 'invalid_grant' }), {}, 'invalid_grant', 'invalid_grant'],
    [
      'invalid_grant with 401',
      answer({ error: 'invalid_grant' }, { status: 401 }),
      {},
      'invalid_grant',
      'invalid_grant',
    ],
    [
      'bad_refresh_token of GitHub',
      answer({ error: 'bad_refresh_token' }),
      { provider: 'github' },
      'bad_refresh_token',
      'invalid_grant',
    ],
    [
      'invalid_refresh_token of Slack',
      answer({ ok: false, error: 'invalid_refresh_token' }),
      { provider: 'slack' },
      'invalid_refresh_token',
      'invalid_grant',
    ],
  ];

  it.each(dead)('gives it up after %s', async (_name, reply, config, code, reason) => {
    const before = await refreshedWith(reply, config);
    expect(before).toMatchObject({
      type: 'revoked',
      revocation: { reason, decided_by: 'idp', idp_host: 'idp.example' },
    });
    const row = await world().credential();
    expect(row).toMatchObject({ state: 'revoked', next_refresh_at: null, intent: null, failure: null });
    expect(await world().accessToken()).toBeUndefined();
    const events = await world().events();
    expect(events.map(({ event_type }) => event_type)).toEqual(['refresh_failed_revoked', 'token_deleted_revoked']);
    expect(events[0]?.detail).toMatchObject({ idp_error_code: code, decided_by: 'idp', reason: 'tool_call' });
    expect(events[1]?.detail).toMatchObject({ idp_error_code: code, decided_by: 'idp', reason });
    expect(world().log.lines).toEqual([
      { level: 'info', message: DELETED_BY_IDP, fields: expect.objectContaining({ connection: 'mcp/acme', reason }) },
    ]);
    expect(JSON.stringify(events)).not.toContain('said-in-confidence');
    expect(world().notifier.published).toContain('credentials mcp/acme');
  });

  it('keeps the token of another provider that answers GitHub’s code', async () => {
    expect(await refreshedWith(answer({ error: 'bad_refresh_token' }))).toMatchObject({ type: 'failed' });
    expect((await world().credential()).state).toBe('connected');
  });

  it('says that the lifetime had run out when its known end had passed before it was presented', async () => {
    const token_set = {
      access_token: new Secret('access-f0t0'),
      refresh_token: new Secret('refresh-f0t0'),
      token_type: 'Bearer',
      expires_at: NOON + HOUR,
      refresh_expires_at: NOON,
      scope: null,
      received_at: NOON - HOUR,
    };
    expect(await refreshedWith(INVALID_GRANT, {}, { token_set })).toMatchObject({
      type: 'revoked',
      revocation: { reason: 'refresh_expired' },
    });
  });

  it('stores a success with everything that follows from it', async () => {
    const { clock, server, random } = world();
    random.next = 0;
    await world().connected();
    const { refresh } = await world().boot();
    server.onRefresh(() =>
      answer({
        access_token: 'new',
        refresh_token: 'newer',
        expires_in: '1800',
        refresh_expires_in: 7200,
        scope: 'read',
      }),
    );
    await clock.advance(MINUTE);
    expect(await refresh()).toEqual({ type: 'refreshed' });
    const now = NOON + MINUTE;
    expect(await world().credential()).toMatchObject({
      state: 'connected',
      intent: null,
      failure: null,
      next_refresh_at: now + 25 * MINUTE,
      next_refresh_reason: 'access_token_expiring',
      token: {
        scope: 'read',
        expires_at: now + 30 * MINUTE,
        refresh_expires_at: now + 120 * MINUTE,
        has_refresh_token: true,
        last_refreshed_at: now,
        refresh_used_at: now,
        authenticated_by: 'ada@example.com',
      },
    });
    const [event] = await world().events();
    expect(event).toMatchObject({ event_type: 'refresh_succeeded', detail: { rotated_refresh: true, duration_ms: 0 } });
    expect(event?.detail.before_refresh_token_fingerprint).not.toBe(event?.detail.refresh_token_fingerprint);
    expect(event?.detail.after_refresh_expires_at).toBe(new Date(now + 120 * MINUTE).toISOString());
    expect(world().notifier.published).toEqual(['credentials mcp/acme']);
  });

  it('keeps the refresh token, and its deadline, when the answer holds no new one', async () => {
    const { server } = world();
    await world().connected('f0', KEY, {});
    const { refresh } = await world().boot();
    server.onRefresh(
      () => answer({ access_token: 'a1', refresh_token: 'r1', refresh_expires_in: 86_400 }),
      () => answer({ access_token: 'a2' }),
    );
    await refresh();
    const first = await world().credential();
    await world().clock.advance(HOUR);
    await refresh();
    const second = await world().credential();
    expect(second.token).toMatchObject({
      has_refresh_token: true,
      refresh_expires_at: first.token?.refresh_expires_at,
      refresh_token_fingerprint: first.token?.refresh_token_fingerprint,
    });
    expect(server.presented.map(({ token }) => token)).toEqual(['refresh-f0t0', 'r1']);
    const last = (await world().events()).at(-1);
    expect(last?.detail).toMatchObject({
      rotated_refresh: false,
      after_refresh_expires_at: new Date(NOON + 24 * HOUR).toISOString(),
    });
    // The deadline did not move: it is a wall clock, and refreshing for its sake would be a storm (lesson 12).
    expect(second.next_refresh_at).toBeNull();
  });

  it('counts failures in a row from the first, and forgets them at a success', async () => {
    const { server, clock } = world();
    await world().connected();
    const { refresh } = await world().boot();
    server.onRefresh(
      () => answer('', { status: 429 }),
      () => answer({ error: 'invalid_client' }, { status: 401 }),
    );
    await refresh();
    await clock.advance(MINUTE);
    await refresh();
    expect((await world().credential()).failure).toEqual({
      type: 'misconfigured',
      since: NOON,
      last_at: NOON + MINUTE,
      count: 2,
      idp_error_code: 'invalid_client',
      error_class: 'structured',
    });
    await refresh();
    expect((await world().credential()).failure).toBeNull();
  });

  it('heals a misconfigured client with the corrected secret, without a new consent', async () => {
    const { server, stores } = world();
    const config = { oauth2_client_id: 'client', oauth2_client_secret: 'wrong' };
    await world().connected('f0', KEY, {}, config);
    const { refresh } = await world().boot();
    server.onRefresh(() => answer({ error: 'invalid_client' }, { status: 401 }));
    await refresh();
    const connection = await stores.connections.read(KEY);
    if (!connection) throw new Error('it is gone');
    await stores.connections.save({
      ...connection,
      config: {
        ...connection.config,
        oauth2_client_secret: 'right',
        oauth2_token_endpoint_auth_method: 'client_secret_post',
      },
      actor: 'ada',
      expected_revision: connection.revision,
    });
    expect(await refresh()).toEqual({ type: 'refreshed' });
    const secrets = server.presented.map(({ client }) => client.client_secret?.reveal());
    expect(secrets).toEqual(['wrong', 'right']);
    expect(server.presented[1]?.client.binding.token_endpoint_auth_method).toBe('client_secret_post');
  });

  it('keeps the client of the consent when the configuration names another by now', async () => {
    await world().connected('f0', KEY, {}, { oauth2_client_id: 'other', oauth2_client_secret: 'other-secret' });
    const { refresh } = await world().boot();
    await refresh();
    const [{ client } = { client: undefined }] = world().server.presented;
    expect(client?.binding.client_id).toBe('client');
    expect(client?.client_secret?.reveal()).toBe('client-secret');
  });
});

describeFlow('a token that cannot be refreshed at all', (world) => {
  const without = (expires_at: number | null) => ({
    token_set: {
      access_token: new Secret('access-f0t0'),
      token_type: 'Bearer',
      expires_at,
      refresh_expires_at: null,
      scope: null,
      received_at: NOON,
    },
    refresh_token_fingerprint: null,
    schedule: expires_at === null ? null : { at: expires_at, reason: 'access_token_expiring' },
  });

  it('is given up by the platform at its end, and said to be so (lesson 18)', async () => {
    await world().connected('f0', KEY, without(NOON + HOUR));
    const { refresh } = await world().boot();
    expect(await refresh()).toEqual({ type: 'no_refresh_token' });
    await world().clock.advance(HOUR);
    expect(await refresh({ reason: 'due' })).toMatchObject({
      type: 'revoked',
      revocation: { reason: 'no_refresh_token', decided_by: 'platform', idp_host: 'idp.example' },
    });
    const events = await world().events();
    expect(events.map(({ event_type }) => event_type)).toEqual(['refresh_failed_revoked', 'token_deleted_revoked']);
    for (const { detail } of events) {
      expect(detail).toMatchObject({ reason: 'no_refresh_token', decided_by: 'platform' });
    }
    expect(world().log.lines).toEqual([
      { level: 'info', message: DELETED_BY_US, fields: { connection: 'mcp/acme', idp_host: 'idp.example' } },
    ]);
    expect(world().notifier.published).toContain('credentials mcp/acme');
    expect(world().server.presented).toHaveLength(0);
    expect((await world().credential()).state).toBe('revoked');
  });

  it('lives for ever when it names no end (lesson 10)', async () => {
    await world().connected('f0', KEY, without(null));
    const { refresh } = await world().boot();
    await world().clock.advance(1000 * 24 * HOUR);
    expect(await refresh()).toEqual({ type: 'no_refresh_token' });
    expect((await world().credential()).state).toBe('connected');
    expect(await world().eventTypes()).toEqual([]);
  });

  it('is not given up when a new consent came in between', async () => {
    const { stores } = world();
    await world().connected('f0', KEY, without(NOON));
    const { refresh } = await world().boot({
      credentials: {
        async settle(settlement) {
          await world().connected('g0');
          return stores.credentials.settle(settlement);
        },
      },
    });
    expect(await refresh({ reason: 'due' })).toEqual({ type: 'current' });
    expect(await world().accessToken()).toBe('access-g0t0');
    expect(await world().eventTypes()).toEqual([]);
    expect(world().log.lines).toEqual([]);
  });

  it('puts a row off whose stored secrets or token cannot be read, instead of wedging the loop', async () => {
    const { stores, server } = world();
    await world().connected();
    const { refresh } = await world().boot({
      connections: {
        async read(key) {
          const connection = await stores.connections.read(key);
          return connection && { ...connection, issues: [{ path: 'config', message: 'cannot be decrypted' }] };
        },
      },
    });
    expect(await refresh()).toMatchObject({ type: 'waiting', until: NOON + 15 * MINUTE });
    expect((await world().credential()).next_refresh_at).toBe(NOON + 15 * MINUTE);
    const blind = await world().boot({
      credentials: {
        async readForAttempt(key) {
          const view = await stores.credentials.readForAttempt(key);
          return view && { ...view, secrets: null };
        },
      },
    });
    expect(await blind.refresh()).toMatchObject({ type: 'waiting' });
    expect(server.presented).toHaveLength(0);
    expect(binding.token_endpoint).toBe('https://idp.example/token');
  });
});
