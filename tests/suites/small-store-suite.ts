import { sql } from 'kysely';
import { beforeEach, expect, it } from 'vitest';
import { AUTH_EVENT_TYPES } from '../../src/core/auth-event.ts';
import type { RegisteredClient } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Fixture } from './store-fixture.ts';
import {
  at,
  binding,
  connect,
  connectedChange,
  consent,
  create,
  createConnected,
  disconnectedChange,
  event,
  KEY,
  MINUTE,
  NOON,
  pendingConsent,
  settle,
  storesOf,
  testBox,
} from './store-fixture.ts';

const OTHER = { kind: 'mcp', name: 'other' };

export function consentSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  let incarnation: string;
  beforeEach(async () => {
    fixture = storesOf(opened());
    stores = fixture.stores;
    incarnation = (await create(stores)).incarnation;
  });

  it('gives a flow back as it was, once', async () => {
    const consent = pendingConsent(incarnation);
    await stores.consents.create('the-state', consent);
    const peeked = await stores.consents.peek('the-state');
    expect(peeked).toEqual({ consent, browser_binding_hash: null });
    expect(peeked?.consent.code_verifier.reveal()).toBe('verifier');
    expect(peeked?.consent.client_secret?.reveal()).toBe('client-secret');
    expect(await stores.consents.pending(KEY, NOON)).toBe(true);
    const [first, second] = await Promise.all([
      stores.consents.consume('the-state'),
      stores.consents.consume('the-state'),
    ]);
    expect([first, second].filter((one) => one !== undefined)).toHaveLength(1);
    expect((first ?? second)?.consent).toEqual(consent);
    expect(await stores.consents.peek('the-state')).toBeUndefined();
    expect(await stores.consents.bind('the-state', 'browser')).toBe(false);
    await stores.consents.finish('the-state');
    expect(await stores.consents.pending(KEY, NOON)).toBe(false);
  });

  it('is pending while its code is being exchanged, for ten minutes at most (rule 20)', async () => {
    await stores.consents.create('the-state', pendingConsent(incarnation));
    fixture.clock.time = NOON + 9 * MINUTE;
    await stores.consents.consume('the-state');
    expect(await stores.consents.pending(KEY, NOON + 18 * MINUTE)).toBe(true);
    expect(await stores.consents.prune(NOON + 18 * MINUTE)).toBe(0);
    expect(await stores.consents.pending(KEY, NOON + 19 * MINUTE)).toBe(false);
    expect(await stores.consents.prune(NOON + 19 * MINUTE)).toBe(1);
  });

  it('is pending no more once a Disconnect has outranked it: its token will be superseded (rule 20)', async () => {
    const connected = await connect(stores);
    await stores.consents.create('the-state', pendingConsent(incarnation));
    await stores.consents.consume('the-state');
    expect(await stores.consents.pending(KEY, NOON)).toBe(true);
    await settle(stores, at(connected), disconnectedChange);
    expect(await stores.consents.pending(KEY, NOON)).toBe(false);
  });

  it('draws growing numbers, at the callback and for Disconnect alike (rule 3)', async () => {
    const numbers: bigint[] = [];
    for (const state of ['one', 'two']) {
      await stores.consents.create(state, pendingConsent(incarnation));
      numbers.push((await stores.consents.consume(state))?.consent_seq ?? 0n, await stores.consents.drawConsentSeq());
    }
    expect(numbers).toEqual([...numbers].sort((a, b) => Number(a - b)));
    expect(new Set(numbers).size).toBe(4);
  });

  it('knows nothing of a flow that has expired', async () => {
    await stores.consents.create('the-state', pendingConsent(incarnation));
    fixture.clock.time = NOON + 10 * MINUTE;
    expect(await stores.consents.peek('the-state')).toBeUndefined();
    expect(await stores.consents.bind('the-state', 'browser')).toBe(false);
    expect(await stores.consents.pending(KEY, fixture.clock.time)).toBe(false);
    expect(await stores.consents.consume('the-state')).toBeUndefined();
    expect(await stores.consents.prune(fixture.clock.time)).toBe(1);
  });

  it('belongs to the first browser that opens it (lesson 43)', async () => {
    await stores.consents.create('the-state', pendingConsent(incarnation));
    expect(await stores.consents.bind('the-state', 'first')).toBe(true);
    expect(await stores.consents.bind('the-state', 'second')).toBe(false);
    expect(await stores.consents.bind('the-state', 'first')).toBe(true);
    expect((await stores.consents.peek('the-state'))?.browser_binding_hash).toBe('first');
  });

  it('ends with its connection, and cannot begin on one that is gone', async () => {
    await stores.consents.create('the-state', pendingConsent(incarnation));
    await stores.connections.delete(KEY, incarnation, () => []);
    await create(stores);
    expect(await stores.consents.consume('the-state')).toBeUndefined();
    const late = stores.consents.create('late', pendingConsent(incarnation));
    await expect(late).rejects.toMatchObject({ code: 'not_found' });
  });

  it('cannot be finished by a reader of the table', async () => {
    await stores.consents.create('the-state', pendingConsent(incarnation));
    const { rows } = await sql<{ dump: string }>`select oauth_states::text as dump from oauth_states`.execute(
      opened().db,
    );
    for (const secret of ['the-state', 'verifier', 'client-secret']) {
      expect(rows[0]?.dump).not.toContain(secret);
      expect(rows[0]?.dump).not.toContain(Buffer.from(secret).toString('hex'));
    }
    expect(await storesOf(opened(), testBox(2)).stores.consents.peek('the-state')).toBeUndefined();
  });
}

export function eventSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  beforeEach(() => {
    fixture = storesOf(opened());
    stores = fixture.stores;
  });

  it('lists newest first, pages without gaps and keeps the order of one instant (lesson 22)', async () => {
    await stores.events.append(KEY, [event('connect_started'), event('connect_failed')]);
    await stores.events.append(OTHER, [event('connect_started')]);
    await stores.events.append(KEY, [event('refresh_succeeded')]);
    const all = await stores.events.list({ limit: 10 });
    expect(all.map((one) => one.event_type)).toEqual([
      'refresh_succeeded',
      'connect_started',
      'connect_failed',
      'connect_started',
    ]);
    const first = await stores.events.list({ key: KEY, limit: 2 });
    const rest = await stores.events.list({ key: KEY, limit: 2, before: first.at(-1)?.sequence });
    expect([...first, ...rest].map((one) => one.event_type)).toEqual([
      'refresh_succeeded',
      'connect_failed',
      'connect_started',
    ]);
    const typed = await stores.events.list({ type: ['connect_failed', 'refresh_succeeded'], limit: 10 });
    expect(typed).toEqual([all[0], all[2]]);
  });

  it('refuses a page mark that is no sequence', async () => {
    for (const before of ['x', '-1', '9'.repeat(30)]) {
      await expect(stores.events.list({ before, limit: 1 })).rejects.toMatchObject({ code: 'invalid_request' });
    }
  });

  it('prunes what is older than asked for, the oldest first and no more than asked for', async () => {
    for (const minute of [0, 1, 2, 3]) {
      fixture.clock.time = NOON + minute * MINUTE;
      await stores.events.append(KEY, [event()]);
    }
    expect(await stores.events.prune(NOON + 3 * MINUTE, 2)).toBe(2);
    expect(await stores.events.prune(NOON + 3 * MINUTE, 2)).toBe(1);
    expect(await stores.events.prune(NOON + 3 * MINUTE, 2)).toBe(0);
    const [left] = await stores.events.list({ limit: 10 });
    expect(left?.occurred_at).toBe(new Date(NOON + 3 * MINUTE).toISOString());
  });

  it('holds exactly the closed list of types, and the database refuses any other', async () => {
    for (const type of AUTH_EVENT_TYPES) await stores.events.append(KEY, [event(type)]);
    expect(await stores.events.list({ limit: 50 })).toHaveLength(AUTH_EVENT_TYPES.length);
    const { rows } = await sql<{ definition: string }>`
      select pg_get_constraintdef(oid) as definition from pg_constraint
      where conname = 'connection_auth_events_event_type_check'`.execute(opened().db);
    const allowed = rows[0]?.definition.match(/'[a-z_]+'/g)?.map((quoted) => quoted.slice(1, -1));
    expect(allowed?.sort()).toEqual([...AUTH_EVENT_TYPES].sort());
  });

  it('tells of a refused statement by its code alone (lesson 50)', async () => {
    const broken = { ...event(), event_type: 'SECRET' as 'connect_failed', actor: 'SECRET-ACTOR' };
    const failure = await stores.events.append(KEY, [broken]).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'internal',
      cause: { code: '23514', constraint: 'connection_auth_events_event_type_check', table: 'connection_auth_events' },
    });
    expect(JSON.stringify([failure, String(failure), (failure as Error).cause])).not.toContain('SECRET');
  });
}

export function revocationSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  beforeEach(() => {
    fixture = storesOf(opened());
    stores = fixture.stores;
  });
  const endpoint = { ...binding, revocation_endpoint: 'https://idp.example/revoke' };
  const order = { id: 'order', actor: 'ada', config: null };
  const claim = (at: number, more = {}) =>
    stores.revocations.claimDue({ now: at, lease_until: at + MINUTE, limit: 10, ...more });
  const revealed = ([one]: Awaited<ReturnType<typeof claim>>) =>
    one && 'refresh_token' in one
      ? [one.refresh_token?.reveal(), one.access_token?.reveal(), one.client_secret?.reveal(), one.attempts]
      : undefined;

  it('lists what a Disconnect or a Delete drops, in the same transaction', async () => {
    const connected = await createConnected(stores, KEY, { binding: endpoint });
    const revoke = { ...disconnectedChange, revoke: order } as const;
    expect((await settle(stores, at({ ...connected, generation: 0n }), revoke)).applied).toBe(false);
    expect(await stores.revocations.nextDueAt()).toBeNull();
    await settle(stores, at(connected), revoke);
    expect(await stores.revocations.nextDueAt()).toBe(NOON);
    const claimed = await claim(NOON);
    expect(revealed(claimed)).toEqual(['refresh-f0t0', 'access-f0t0', 'client-secret', 1]);
    expect(claimed[0]).toMatchObject({
      id: 'order',
      key: KEY,
      actor: 'ada',
      created_at: NOON,
      binding: endpoint,
      origin_of_trust: endpoint.token_endpoint,
    });
    await connect(stores, 'g0t0', KEY, { binding: endpoint });
    await stores.connections.delete(KEY, connected.incarnation, () => [], { ...order, id: 'deleted' });
    expect(revealed(await claim(NOON, { id: 'deleted' }))?.slice(0, 2)).toEqual(['refresh-g0t0', 'access-g0t0']);
  });

  it('lists nothing without a token, or without an endpoint to revoke it at', async () => {
    const connected = await createConnected(stores);
    await settle(stores, at(connected), { ...disconnectedChange, revoke: order } as const);
    await stores.connections.delete(KEY, connected.incarnation, () => [], order);
    expect(await stores.revocations.nextDueAt()).toBeNull();
  });

  const enqueue = (id = 'late', access = 'access') =>
    stores.revocations.enqueue({
      id,
      key: KEY,
      actor: 'ada',
      binding: endpoint,
      origin_of_trust: 'https://idp.example',
      client_secret: null,
      refresh_token: new Secret('refresh'),
      access_token: new Secret(access),
    });

  it('lists a token once, however often it is told', async () => {
    await enqueue();
    await enqueue('late', 'other');
    expect(revealed(await claim(NOON))).toEqual(['refresh', 'access', undefined, 1]);
  });

  it('is claimed by one at a time, and again when the lease is over', async () => {
    await enqueue();
    const claims = await Promise.all([claim(NOON), claim(NOON)]);
    expect(claims.flat()).toHaveLength(1);
    expect(await claim(NOON + MINUTE - 1)).toHaveLength(0);
    expect(revealed(await claim(NOON + MINUTE))?.[3]).toBe(2);
    await stores.revocations.postpone('late', NOON + 5 * MINUTE);
    expect(await stores.revocations.nextDueAt()).toBe(NOON + 5 * MINUTE);
    expect(await claim(NOON + 4 * MINUTE)).toHaveLength(0);
  });

  it('erases each token as it is done, tells it once, and forgets the rest', async () => {
    await enqueue();
    for (const _twice of [1, 2]) {
      await stores.revocations.finish('late', 'refresh_token', KEY, [event('token_revoked_upstream')]);
    }
    expect(revealed(await claim(NOON))).toEqual([undefined, 'access', undefined, 1]);
    await stores.revocations.finish('late', 'access_token', KEY, [event('token_revocation_failed')]);
    await stores.revocations.finish('late', 'all', KEY, [event('token_revocation_failed')]);
    expect(await stores.revocations.nextDueAt()).toBeNull();
    const told = await stores.events.list({ limit: 10 });
    expect(told.map(({ event_type }) => event_type)).toEqual(['token_revocation_failed', 'token_revoked_upstream']);
  });

  it('is told apart when it was written with a key that we do not hold', async () => {
    await enqueue();
    const { revocations } = storesOf(opened(), testBox(2)).stores;
    const query = { now: NOON, lease_until: NOON + MINUTE, limit: 1 };
    expect(await revocations.claimDue(query)).toEqual([
      { unreadable: true, id: 'late', key: KEY, actor: 'ada', binding: endpoint, created_at: NOON },
    ]);
  });

  it('ends, with a Disconnect, every consent that was begun (rule 3)', async () => {
    const connected = await createConnected(stores);
    await stores.consents.create('begun', pendingConsent(connected.incarnation));
    await settle(stores, at(connected), disconnectedChange);
    expect(await stores.consents.consume('begun')).toBeUndefined();
  });

  it('leaves what was never connected as it is, but for its consents', async () => {
    const { incarnation } = await create(stores);
    const seq = await stores.consents.drawConsentSeq();
    const before = await stores.credentials.read(KEY);
    if (!before) throw new Error('it was created');
    await settle(stores, at(before), disconnectedChange);
    expect(await stores.credentials.read(KEY)).toMatchObject({ state: 'never_connected', revocation: null });
    const late = await settle(stores, consent(incarnation, seq), connectedChange(seq));
    expect(late.applied).toBe(false);
  });
}

export function otherStoreSuite(opened: () => OpenDatabase): void {
  let stores: Fixture['stores'];
  beforeEach(() => {
    stores = storesOf(opened()).stores;
  });

  const client: RegisteredClient = {
    issuer: 'https://idp.example',
    redirect_uri: 'https://platform.example/callback',
    client_id: 'registered',
    client_secret: new Secret('registered-secret'),
    token_endpoint_auth_method: 'client_secret_post',
    client_secret_expires_at: NOON,
  };

  it('remembers a registered client per issuer and redirect URI, until it is forgotten', async () => {
    await create(stores);
    await stores.registrations.save(KEY, client);
    const read = await stores.registrations.read(KEY, client.issuer, client.redirect_uri);
    expect(read).toEqual(client);
    expect(read?.client_secret?.reveal()).toBe('registered-secret');
    expect(await stores.registrations.read(KEY, client.issuer, 'https://other.example')).toBeUndefined();
    await stores.registrations.save(KEY, { ...client, client_id: 'again', client_secret: null });
    expect(await stores.registrations.read(KEY, client.issuer, client.redirect_uri)).toMatchObject({
      client_id: 'again',
      client_secret: null,
    });
    await stores.registrations.forget(KEY, client.issuer, 'another');
    expect(await stores.registrations.read(KEY, client.issuer, client.redirect_uri)).toBeDefined();
    await stores.registrations.forget(KEY, client.issuer, 'again');
    expect(await stores.registrations.read(KEY, client.issuer, client.redirect_uri)).toBeUndefined();
  });

  it('treats a registered client whose secret cannot be read as none', async () => {
    await create(stores);
    await stores.registrations.save(KEY, client);
    const later = storesOf(opened(), testBox(2)).stores;
    expect(await later.registrations.read(KEY, client.issuer, client.redirect_uri)).toBeUndefined();
  });

  it('keeps the last known tools verbatim, and drops a list of a connection that is gone', async () => {
    const { incarnation } = await create(stores);
    const tools = [{ name: 'search', inputSchema: { type: 'object', 'x-unknown': [null, '\u20ac'] }, _meta: { a: 1 } }];
    const entry = {
      key: KEY,
      incarnation,
      tools,
      prompts: [{ name: 'greet', arguments: [{ name: 'who' }] }],
      resources: [{ uri: 'file:///a', _meta: { b: null } }],
      resource_templates: [{ uriTemplate: 'file:///{path}' }],
      about: { capabilities: { tools: {}, experimental: { x: {} } }, serverInfo: { name: 'acme', version: '1' } },
      listed_at: NOON,
    };
    await stores.catalog.save({ ...entry, tools: [], about: null });
    expect(await stores.catalog.read(KEY)).toEqual({ ...entry, tools: [], about: null });
    await stores.catalog.save(entry);
    expect(await stores.catalog.list()).toEqual([entry]);
    expect(await stores.catalog.read(OTHER)).toBeUndefined();
    await stores.connections.delete(KEY, incarnation, () => []);
    await stores.catalog.save(entry);
    await create(stores);
    await stores.catalog.save(entry);
    expect(await stores.catalog.list()).toEqual([]);
  });

  it('keeps a list and its names whatever characters are in them, one that no text can hold included', async () => {
    const { incarnation } = await create(stores);
    const odd = { name: 'a\0b', description: 'nul \0 and \\u0000' };
    const entry = { key: KEY, incarnation, prompts: [], resources: [], resource_templates: [], about: null };
    await stores.catalog.save({ ...entry, tools: [odd], listed_at: NOON });
    const stored = { name: 'a\ufffdb', description: 'nul \ufffd and \\u0000' };
    expect(await stores.catalog.read(KEY)).toMatchObject({ tools: [stored] });
    const name = { item: 'tool', published_name: 'acme__a_b', ...KEY, tool: odd.name } as const;
    const other = { ...name, published_name: 'acme__search', tool: 'search' };
    await stores.catalog.saveNames([name, other]);
    expect(await stores.catalog.names()).toEqual([{ ...name, tool: stored.name }, other]);
  });

  it('never gives a published name to another tool, nor a tool another name', async () => {
    await create(stores);
    await create(stores, OTHER);
    const first = { item: 'tool', published_name: 'acme__search', ...KEY, tool: 'search' } as const;
    const prompt = { ...first, item: 'prompt' } as const;
    const other = { item: 'tool', published_name: 'other__search', ...OTHER, tool: 'search' } as const;
    await stores.catalog.saveNames([first, prompt]);
    await stores.catalog.saveNames([
      { ...first, ...OTHER },
      { ...first, published_name: 'acme__search-mcp' },
      { item: 'tool', published_name: 'gone__search', kind: 'mcp', name: 'gone', tool: 'search' },
      other,
    ]);
    expect(await stores.catalog.names()).toEqual([prompt, first, other]);
  });

  it('lets a sign-in link be used once and in time', async () => {
    await stores.access.createSignInLink('link', 'ada@example.com', NOON + MINUTE);
    await stores.access.createSignInLink('late', 'ada@example.com', NOON);
    const used = await Promise.all([1, 2].map(() => stores.access.consumeSignInLink('link', NOON)));
    expect(used.filter((actor) => actor === 'ada@example.com')).toHaveLength(1);
    expect(await stores.access.consumeSignInLink('late', NOON)).toBeUndefined();
  });

  it('ends a session by its time or by hand, and prunes what has ended', async () => {
    await stores.access.createSession('one', 'ada@example.com', NOON + MINUTE);
    await stores.access.createSession('two', 'bob@example.com', NOON + MINUTE);
    await stores.access.createSignInLink('late', 'ada@example.com', NOON);
    expect(await stores.access.readSession('one', NOON)).toEqual({
      actor: 'ada@example.com',
      expires_at: NOON + MINUTE,
    });
    await stores.access.deleteSession('two');
    expect(await stores.access.readSession('two', NOON)).toBeUndefined();
    expect(await stores.access.readSession('one', NOON + MINUTE)).toBeUndefined();
    expect(await stores.access.pruneExpired(NOON + MINUTE)).toBe(2);
  });
}
