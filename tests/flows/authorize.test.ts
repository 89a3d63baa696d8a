import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/redact.ts';
import { safeReturnUrl } from '../../src/flows/authorize.ts';
import * as fixture from '../suites/store-fixture.ts';
import { answer, deferred } from '../support/ports.ts';
import { describeFlow, HOUR, KEY, MINUTE, NOON, type Process, REDIRECT_URI } from './world.ts';

const ADA = 'ada@example.com';
const CLIENT = { oauth2_client_id: 'client', oauth2_client_secret: 'client-secret' };

describeFlow('a person connects', (world) => {
  /** Clicks Connect, and comes as far as the provider's page. */
  async function begun(process: Process, return_url?: string): Promise<{ state: string }> {
    const started = await process.authorize.start(KEY, { actor: ADA, ...(return_url ? { return_url } : {}) });
    expect(await process.authorize.bind(started.state, 'browser')).toEqual({
      authorization_url: started.authorization_url,
    });
    return started;
  }
  const back = (process: Process, params: Record<string, string>, browser: string | null = 'browser') =>
    process.authorize.callback(new URLSearchParams(params), browser);

  async function prepared(config = CLIENT, boot = {}): Promise<Process> {
    await fixture.create(world().stores, KEY, config);
    return world().boot(boot);
  }

  it('from the click to the stored token', async () => {
    const { server, random } = world();
    random.next = 0;
    const process = await prepared();
    const started = await process.authorize.start(KEY, { actor: ADA, return_url: '/connections' });
    expect(started).toMatchObject({
      redirect_uri: REDIRECT_URI,
      expires_at: new Date(NOON + 10 * MINUTE).toISOString(),
    });
    const url = new URL(started.authorization_url);
    expect(url.origin + url.pathname).toBe('https://idp.example/authorize');
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'client',
      redirect_uri: REDIRECT_URI,
      state: started.state,
      code_challenge_method: 'S256',
    });
    expect(Buffer.from(started.state, 'base64url')).toHaveLength(32);
    await process.authorize.bind(started.state, 'browser');
    expect(await back(process, { state: started.state, code: 'the-code' })).toEqual({
      ok: true,
      key: KEY,
      return_url: '/connections',
    });
    const [exchanged] = server.exchanged;
    expect(exchanged).toMatchObject({ code: 'the-code', redirect_uri: REDIRECT_URI });
    expect(await server.codeChallenge(exchanged?.code_verifier ?? '')).toBe(url.searchParams.get('code_challenge'));
    expect(exchanged?.client.client_secret?.reveal()).toBe('client-secret');
    expect(await world().accessToken()).toBe('access-c1t0');
    expect(await world().credential()).toMatchObject({
      state: 'connected',
      next_refresh_at: NOON + 3_000,
      next_refresh_reason: 'canary',
      token: { authenticated_by: ADA, authenticated_at: NOON, has_refresh_token: true, last_refreshed_at: null },
    });
    const events = await world().events();
    expect(events.map(({ event_type }) => event_type)).toEqual(['connect_started', 'connect_completed']);
    expect(events[0]).toMatchObject({ actor: ADA, idp_host: 'idp.example', detail: { return_url: '/connections' } });
    expect(events[1]?.detail).toMatchObject({
      has_refresh_token: true,
      expires_at: new Date(NOON + HOUR).toISOString(),
    });
    expect(world().messages('info')).toEqual(['connected']);
    expect(JSON.stringify([events, world().log.lines])).not.toMatch(/refresh-c1|access-c1|the-code/);
    expect(await process.refresh()).toEqual({ type: 'refreshed' });
  });

  it('once per state: the second answer changes nothing', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    await back(process, { state, code: 'one' });
    expect(await back(process, { state, code: 'two' })).toMatchObject({ ok: false, code: 'state_unknown', key: null });
    expect(world().server.exchanged).toHaveLength(1);
    expect(await world().accessToken()).toBe('access-c1t0');
  });

  it('once per state, even when two answers come at once', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    const results = await Promise.all([back(process, { state, code: 'one' }), back(process, { state, code: 'two' })]);
    expect(results.map(({ ok }) => ok).sort()).toEqual([false, true]);
    expect(world().server.exchanged).toHaveLength(1);
  });

  it.each([
    ['another browser', 'other'],
    ['no cookie', null],
  ])('in the browser that began it, not with %s (lesson 43)', async (_name, browser) => {
    const process = await prepared();
    const { state } = await begun(process);
    expect(await back(process, { state, code: 'one' }, browser)).toMatchObject({ ok: false, code: 'state_unknown' });
    expect(world().server.exchanged).toHaveLength(0);
    expect(await process.authorize.bind(state, 'other')).toBeUndefined();
    expect(await back(process, { state, code: 'one' })).toMatchObject({ ok: true });
  });

  it('within ten minutes', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    await world().clock.advance(10 * MINUTE + 1);
    expect(await back(process, { state, code: 'one' })).toMatchObject({ ok: false, code: 'state_unknown' });
    expect(world().server.exchanged).toHaveLength(0);
  });

  it.each<Record<string, string>>([{}, { state: '' }, { state: 'made-up', code: 'x' }])(
    'never with a state that nobody gave out: %o',
    async (params) => {
      const process = await prepared();
      expect(await back(process, params)).toMatchObject({ ok: false, code: 'state_unknown', return_url: null });
      expect(await process.authorize.bind(params.state ?? '', 'browser')).toBeUndefined();
    },
  );

  const answers: [string, Record<string, string>, string, object][] = [
    ['of another issuer', { code: 'x', iss: 'https://evil.example' }, 'wrong_issuer', { reason: 'wrong_issuer' }],
    ['without the promised issuer', { code: 'x' }, 'missing_issuer', { reason: 'missing_issuer' }],
    ['without a code', { iss: 'https://idp.example' }, 'missing_code', { reason: 'missing_code' }],
    [
      'that declines',
      { error: 'access_denied', iss: 'https://idp.example' },
      'access_denied',
      { idp_error_code: 'access_denied' },
    ],
    [
      'that refuses the request',
      { error: 'invalid_scope', error_description: 'said-in-confidence', iss: 'https://idp.example' },
      'invalid_scope',
      { idp_error_code: 'invalid_scope' },
    ],
  ];

  it.each(answers)('not by an answer %s; the history says so (lesson 20)', async (_name, params, code, detail) => {
    world().server.metadata.authorization_response_iss_parameter_supported = true;
    const process = await prepared();
    const { state } = await begun(process);
    const result = await back(process, { state, ...params });
    expect(result).toMatchObject({
      ok: false,
      key: KEY,
      code,
      title: 'mcp/acme was not connected',
      return_url: '/connections/mcp/acme',
    });
    expect(world().server.exchanged).toHaveLength(0);
    const failed = (await world().events()).at(-1);
    expect(failed).toMatchObject({
      event_type: 'connect_failed',
      actor: ADA,
      idp_host: 'idp.example',
      detail: { step: 'authorization_response', ...detail },
    });
    expect(JSON.stringify([result, failed])).not.toContain('said-in-confidence');
    expect(await back(process, { state, code: 'again', iss: 'https://idp.example' })).toMatchObject({ ok: false });
  });

  const exchanges: [string, Parameters<typeof answer>, string, string, object][] = [
    [
      'invalid_client',
      [{ error: 'invalid_client' }, { status: 401 }],
      'invalid_client',
      'Check oauth2_client_id',
      { idp_error_code: 'invalid_client' },
    ],
    [
      'unauthorized_client',
      [{ error: 'unauthorized_client' }, { status: 401 }],
      'unauthorized_client',
      'Check oauth2_client_id',
      { idp_error_code: 'unauthorized_client' },
    ],
    [
      'invalid_grant',
      [{ error: 'invalid_grant' }, { status: 400 }],
      'invalid_grant',
      'Click Connect again',
      { idp_error_code: 'invalid_grant' },
    ],
    ['a web page', ['<html>', { status: 502 }], 'server_error', 'no readable answer', { error_class: 'server_error' }],
    ['429', ['', { status: 429 }], 'rate_limited', 'no readable answer', { error_class: 'rate_limited' }],
  ];

  it.each(exchanges)('not when the exchange of the code ends in %s', async (_name, reply, code, message, detail) => {
    const process = await prepared();
    const { state } = await begun(process);
    world().server.onExchange(() => answer(...reply));
    const result = await back(process, { state, code: 'x' });
    expect(result).toMatchObject({ ok: false, key: KEY, code, message: expect.stringContaining(message) });
    const failed = (await world().events()).at(-1);
    expect(failed).toMatchObject({ event_type: 'connect_failed', detail: { step: 'token_exchange', ...detail } });
    expect(await world().credential()).toMatchObject({ state: 'never_connected', token: null });
    expect(world().escrow.entries.size).toBe(0);
  });

  it('although much is odd in the answer: what is a token is stored (lesson 7)', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    world().server.onExchange(() =>
      answer(
        { access_token: 'odd', expires_in: 'soon', scope: ['a', 'b'], token_type: 7 },
        { media_type: 'text/html' },
      ),
    );
    expect(await back(process, { state, code: 'x' })).toMatchObject({ ok: true });
    expect(await world().accessToken()).toBe('odd');
    expect(await world().credential()).toMatchObject({
      next_refresh_at: null,
      token: { expires_at: null, has_refresh_token: false, scope: 'a b' },
    });
  });

  it('although the provider is slow: a late answer is stored (rule 9)', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    const gate = deferred();
    world().server.onExchange(async (honest) => {
      await gate.promise;
      return honest();
    });
    const result = back(process, { state, code: 'x' });
    await vi.waitFor(() => expect(world().server.exchanged).toHaveLength(1));
    await world().clock.advance(30_000);
    expect(await result).toMatchObject({
      ok: false,
      code: 'timeout',
      message: expect.stringContaining('If it still does'),
    });
    gate.resolve();
    await vi.waitFor(async () => expect(await world().accessToken()).toBe('access-c1t0'));
    expect(await world().eventTypes()).toEqual(['connect_started', 'connect_failed', 'connect_completed']);
  });

  it('although the database fails from the reply on: the token is safe, and stored later', async () => {
    const process = await prepared(CLIENT, {
      credentials: { settle: () => Promise.reject(new AppError('database_unavailable', 'down')) },
    });
    const { state } = await begun(process);
    expect(await back(process, { state, code: 'x' })).toMatchObject({
      ok: false,
      code: 'stored_later',
      message: expect.stringContaining('safe on this server'),
    });
    const next = await world().boot();
    await next.keeper.recover();
    expect(await world().accessToken()).toBe('access-c1t0');
    expect((await world().eventTypes()).at(-1)).toBe('connect_completed');
    expect(world().escrow.entries.size).toBe(0);
  });

  it('not when a later consent was finished first (rule 19, trace 13)', async () => {
    const process = await prepared();
    const first = await begun(process);
    const gate = deferred();
    world().server.onExchange(async (honest) => {
      const reply = honest();
      await gate.promise;
      return reply;
    });
    const slow = back(process, { state: first.state, code: 'one' });
    await vi.waitFor(() => expect(world().server.exchanged).toHaveLength(1));
    const second = await begun(process);
    expect(await back(process, { state: second.state, code: 'two' })).toMatchObject({ ok: true });
    gate.resolve();
    expect(await slow).toMatchObject({ ok: false, code: 'superseded' });
    expect(await world().accessToken()).toBe('access-c2t0');
    expect(world().server.revoked).toEqual([]);
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'connect_failed',
      detail: { step: 'superseded' },
    });
  });

  it('not when the connection was deleted and made again meanwhile', async () => {
    const process = await prepared();
    const { state } = await begun(process);
    const { incarnation } = await world().credential();
    await world().stores.connections.delete(KEY, incarnation, () => []);
    await fixture.create(world().stores, KEY, CLIENT);
    expect(await back(process, { state, code: 'x' })).toMatchObject({ ok: false });
    expect(await world().credential()).toMatchObject({ state: 'never_connected' });
    expect(world().server.exchanged).toHaveLength(0);
  });

  it('not by a fault of ours; the reply tells no more than an AppError may', async () => {
    const process = await prepared(CLIENT, { credentials: { read: () => Promise.reject(new Error('secret detail')) } });
    const { state } = await begun(process);
    const result = await back(process, { state, code: 'x' });
    expect(result).toMatchObject({ ok: false, key: KEY });
    expect(JSON.stringify(result)).not.toContain('secret detail');
  });

  it.each([
    ['discovery_failed', 'discovery'],
    ['registration_failed', 'registration'],
    ['egress_refused', 'egress'],
  ] as const)('not when the start fails with %s; the history says at which step', async (code, step) => {
    const process = await prepared();
    world().server.discoverFails = new AppError(code, 'what to do');
    await expect(process.authorize.start(KEY, { actor: ADA })).rejects.toMatchObject({ code });
    expect(await world().events()).toMatchObject([{ event_type: 'connect_failed', actor: ADA, detail: { step } }]);
  });

  it('only a connection that exists, is valid and uses OAuth', async () => {
    const process = await world().boot();
    const start = () => process.authorize.start(KEY, { actor: ADA });
    await expect(start()).rejects.toMatchObject({ code: 'not_found' });
    await fixture.create(world().stores, KEY, { auth_mode: 'none' });
    await expect(start()).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await world().eventTypes()).toEqual([]);
    const broken = await world().boot({
      connections: {
        async read(key) {
          const connection = await world().stores.connections.read(key);
          return connection && { ...connection, issues: [{ path: 'endpoint', message: 'is odd' }] };
        },
      },
    });
    await expect(broken.authorize.start(KEY, { actor: ADA })).rejects.toMatchObject({
      code: 'invalid_config',
      message: 'mcp/acme is not valid: endpoint is odd.',
    });
  });
});

describeFlow('the client of a consent', (world) => {
  const REGISTRATION = 'https://idp.example/register';

  async function started(config = {}, metadata = {}, boot = {}) {
    Object.assign(world().server.metadata, metadata);
    await fixture.create(world().stores, KEY, config);
    const process = await world().boot(boot);
    const { authorization_url, state } = await process.authorize.start(KEY, { actor: ADA });
    const pending = await world().stores.consents.peek(state);
    if (!pending) throw new Error('there is no consent');
    return { process, params: new URL(authorization_url).searchParams, consent: pending.consent };
  }

  it('is the configured one', async () => {
    const { consent } = await started({ ...CLIENT, oauth2_revocation_url: 'https://idp.example/other' });
    expect(consent.binding).toMatchObject({
      client_id: 'client',
      client_source: 'config',
      token_endpoint_auth_method: 'client_secret_basic',
      revocation_endpoint: 'https://idp.example/other',
    });
    expect(consent.client_secret?.reveal()).toBe('client-secret');
  });

  it('proves itself by the configured method, else not at all without a secret', async () => {
    const { consent } = await started({ oauth2_client_id: 'client' });
    expect(consent.binding.token_endpoint_auth_method).toBe('none');
    expect(consent.client_secret).toBeNull();
  });

  it('is our metadata document where the server reads it', async () => {
    const url = 'https://us.example/client.json';
    const { consent } = await started(
      {},
      { client_id_metadata_document_supported: true, registration_endpoint: REGISTRATION },
      { clientIdMetadataUrl: url },
    );
    expect(consent.binding).toMatchObject({ client_id: url, client_source: 'client_id_metadata_document' });
    expect(world().server.registered).toHaveLength(0);
  });

  it('is registered once, and remembered', async () => {
    const { process, consent } = await started({}, { registration_endpoint: REGISTRATION });
    expect(consent.binding).toMatchObject({ client_id: 'registered-1', client_source: 'dynamic_registration' });
    await process.authorize.start(KEY, { actor: ADA });
    expect(world().server.registered).toEqual([
      { redirect_uri: REDIRECT_URI, scope: null, trust: 'https://mcp.example/mcp' },
    ]);
  });

  it('is registered anew when its secret has expired (lesson 16)', async () => {
    const { process } = await started({}, { registration_endpoint: REGISTRATION });
    await world().stores.registrations.save(KEY, {
      issuer: 'https://idp.example',
      redirect_uri: REDIRECT_URI,
      client_id: 'old',
      client_secret: new Secret('old'),
      token_endpoint_auth_method: 'client_secret_basic',
      client_secret_expires_at: NOON,
    });
    await process.authorize.start(KEY, { actor: ADA });
    expect(world().server.registered).toHaveLength(2);
  });

  it('is asked of the operator where none can be found, with the redirect URI to register', async () => {
    await expect(started()).rejects.toMatchObject({
      code: 'registration_failed',
      message: expect.stringContaining(REDIRECT_URI),
    });
    expect(await world().events()).toMatchObject([{ event_type: 'connect_failed', detail: { step: 'registration' } }]);
  });

  it('asks for what the provider and the operator say, which never replaces what is the flow’s own', async () => {
    const { params, consent } = await started(
      { ...CLIENT, provider: 'google', oauth2_prompt: 'login', oauth2_authorize_params: { tenant: 'acme' } },
      { challenge_scope: 'read', resource: 'https://mcp.example/' },
    );
    expect(params.get('access_type')).toBe('offline');
    expect(params.get('prompt')).toBe('login');
    expect(params.get('tenant')).toBe('acme');
    expect(params.get('scope')).toBe('read');
    expect(consent.binding).toMatchObject({ scope: 'read', resource: 'https://mcp.example/' });
  });
});

describe('where the browser is sent after a consent', () => {
  const key = { kind: 'mcp', name: 'acme' };
  const FALLBACK = '/connections/mcp/acme';

  it.each(['/', '/connections', '/a?b=c#d', '/connections/mcp/acme?tab=history'])('may be %s', (url) => {
    expect(safeReturnUrl(url, key)).toBe(url);
  });

  it.each([
    undefined,
    '',
    'connections',
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/a\\b',
    '/a b',
    '\t/x',
    '/\t/evil.example',
    'javascript:alert(1)',
  ])('is never %o', (url) => {
    expect(safeReturnUrl(url, key)).toBe(FALLBACK);
  });

  it('is always on our own site, whatever was asked for', () => {
    const site = 'https://us.example';
    const nasty = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.webPath(),
      fc.string().map((text) => `/${text}`),
    );
    fc.assert(
      fc.property(nasty, (url) => {
        const safe = safeReturnUrl(url, key);
        expect(new URL(safe, site).origin).toBe(site);
        expect(safe.startsWith('/')).toBe(true);
      }),
    );
  });
});
