import { expect, it } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import * as fixture from '../suites/store-fixture.ts';
import { createAuthority } from '../support/certificates.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, KEY, MINUTE, NOON } from './world.ts';

const ADA = 'ada@example.com';
const OAUTH = { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth' };
const BEARER = { endpoint: 'https://mcp.example/mcp', auth_mode: 'bearer', credential: 's3cret' };

describeFlow('connections in the hands of an operator', (world) => {
  const room = async (boot = {}) => (await world().boot(boot)).connections;
  const stored = async (key = KEY) => (await world().stores.connections.read(key))?.config;

  it('are created, read, listed and changed, each write told to the replicas', async () => {
    const { put, get, list } = await room();
    const created = await put(KEY, { config: BEARER, description: 'Acme' }, ADA);
    expect(created).toMatchObject({
      created: true,
      connection: { ...KEY, description: 'Acme', source: 'api', issues: [], updated_by: ADA, oauth: null },
    });
    expect(created.connection.created_at).toBe(new Date(NOON).toISOString());
    const changed = await put(KEY, { config: { ...BEARER, call_timeout: '10s' } }, 'bob');
    expect(changed).toMatchObject({ created: false, connection: { description: 'Acme', updated_by: 'bob' } });
    expect(await get(KEY)).toEqual(changed.connection);
    expect(await list()).toEqual([changed.connection]);
    expect(world().notifier.published).toEqual(['connections mcp/acme', 'connections mcp/acme']);
  });

  it('show no secret, and keep it when [REDACTED] is written back (lesson 46)', async () => {
    const { put, get } = await room();
    const config = { ...BEARER, static_headers: { 'X-Team': 'hush' } };
    const { connection } = await put(KEY, { config }, ADA);
    expect(connection.config).toMatchObject({ credential: '[REDACTED]', static_headers: { 'X-Team': '[REDACTED]' } });
    expect(JSON.stringify(await get(KEY))).not.toMatch(/s3cret|hush/);
    await put(KEY, { config: { ...connection.config, call_timeout: '10s' } }, ADA);
    expect(await stored()).toMatchObject({ ...config, call_timeout: '10s' });
  });

  it.each([
    [{ config: { ...OAUTH, oauth2_scope: 'a\0b' } }, 'oauth2_scope'],
    [{ config: { ...OAUTH, oauth2_prompt: 'a\ud800b' } }, 'oauth2_prompt'],
    [{ config: { ...OAUTH, oauth2_authorize_params: { hint: 'a\0' } } }, 'oauth2_authorize_params.hint'],
    [{ config: { ...OAUTH, oauth2_authorize_params: { 'a\0': 'b' } } }, 'oauth2_authorize_params'],
    [{ config: OAUTH, description: 'a\0b' }, 'description'],
  ])('take no text that cannot be stored, and name its field: %j', async (input, path) => {
    const { put } = await room();
    await expect(put(KEY, input, ADA)).rejects.toMatchObject({ code: 'invalid_config', issues: [{ path }] });
    expect(await stored()).toBeUndefined();
  });

  it('never store [REDACTED] as a secret (lesson 46)', async () => {
    const { put } = await room();
    await expect(put(KEY, { config: { ...BEARER, credential: '[REDACTED]' } }, ADA)).rejects.toMatchObject({
      code: 'secret_required',
      issues: [expect.objectContaining({ path: 'credential' })],
    });
    expect(await stored()).toBeUndefined();
  });

  it('keep keys and certificates as secrets, and take none that is unsound, by the name of its field', async () => {
    const { put, get } = await room();
    const authority = createAuthority('Authority', NOON);
    const { cert, key } = authority.issue('client');
    const mutual = { mtls_client_cert_pem: cert, mtls_client_key_pem: key };
    const signing = { ...OAUTH, oauth2_client_id: 'client', oauth2_client_private_key_pem: key };
    await put(KEY, { config: { ...signing, ...mutual, tls_ca_bundle_pem: authority.cert } }, ADA);
    const { config } = await get(KEY);
    const hidden = { oauth2_client_private_key_pem: '[REDACTED]', mtls_client_key_pem: '[REDACTED]' };
    expect(config).toMatchObject({ ...hidden, mtls_client_cert_pem: cert.trim() });
    expect(JSON.stringify(config)).not.toContain('PRIVATE KEY');
    await put(KEY, { config: { ...config, call_timeout: '10s' } }, ADA);
    expect(await stored()).toMatchObject({
      oauth2_client_private_key_pem: key.trim(),
      mtls_client_key_pem: key.trim(),
    });
    const another = { ...config, mtls_client_key_pem: authority.issue('another').key };
    await expect(put(KEY, { config: another }, ADA)).rejects.toMatchObject({
      code: 'invalid_config',
      issues: [{ path: 'mtls_client_key_pem', message: expect.stringContaining('does not belong') }],
    });
    const old = authority.issue('old', { to: NOON - MINUTE });
    const expired = { ...config, mtls_client_cert_pem: old.cert, mtls_client_key_pem: old.key };
    await expect(put(KEY, { config: expired }, ADA)).rejects.toMatchObject({
      issues: [{ path: 'mtls_client_cert_pem', message: expect.stringContaining('expired') }],
    });
    const moved = { ...config, endpoint: 'https://elsewhere.example/mcp' };
    await expect(put(KEY, { config: moved }, ADA)).rejects.toMatchObject({ code: 'secret_required' });
  });

  it('never send a stored secret to a new host (lesson 45)', async () => {
    const { put } = await room();
    await put(KEY, { config: BEARER }, ADA);
    const moved = { ...BEARER, endpoint: 'https://evil.example/mcp' };
    await expect(put(KEY, { config: { ...moved, credential: '[REDACTED]' } }, ADA)).rejects.toMatchObject({
      code: 'secret_required',
      message: expect.stringContaining('type the secret again'),
    });
    await put(KEY, { config: { ...moved, credential: 'typed again' } }, ADA);
    expect(await stored()).toMatchObject({ credential: 'typed again' });
  });

  it('name each field that is wrong, all at once', async () => {
    const { put } = await room();
    const error = await put(KEY, { config: { endpoint: 'nowhere', auth_mode: 'bearer', tpyo: 1 } }, ADA).catch(
      (caught) => caught,
    );
    expect(error.code).toBe('invalid_config');
    expect(error.issues.map(({ path }: { path: string }) => path)).toEqual(
      expect.arrayContaining(['endpoint', 'tpyo']),
    );
    await expect(put({ kind: 'mcp', name: 'No Spaces' }, { config: OAUTH }, ADA)).rejects.toMatchObject({
      code: 'invalid_config',
      issues: [{ path: 'name', message: expect.stringContaining('lower-case') }],
    });
    await expect(put({ kind: 'odd', name: 'acme' }, { config: OAUTH }, ADA)).rejects.toMatchObject({
      issues: [{ path: 'kind', message: expect.stringContaining('known kinds: mcp') }],
    });
  });

  it('lose their tokens when the destination moves, and the history says who did it (lesson 45)', async () => {
    const { put } = await room();
    await world().connected();
    await put(KEY, { config: { ...OAUTH, oauth2_token_url: 'https://evil.example/token' } }, ADA);
    expect(await world().credential()).toMatchObject({
      state: 'revoked',
      revocation: { reason: 'destination_changed', decided_by: 'person' },
    });
    expect(await world().accessToken()).toBeUndefined();
    expect(await world().events()).toMatchObject([
      {
        event_type: 'token_deleted_admin',
        actor: ADA,
        idp_host: 'idp.example',
        detail: { reason: 'destination_changed', decided_by: 'person', upstream_revocation: 'requested' },
      },
      { event_type: 'token_revoked_upstream', detail: { token_type_hint: 'refresh_token' } },
      { event_type: 'token_revoked_upstream', detail: { token_type_hint: 'access_token' } },
    ]);
    expect(world().server.revoked).toEqual(['refresh-f0t0', 'access-f0t0']);
    expect(world().notifier.published).toEqual(['connections mcp/acme', 'credentials mcp/acme']);
  });

  it('lose their tokens when they stop using OAuth, and keep them over any other change', async () => {
    const { put } = await room();
    await world().connected();
    await put(KEY, { config: { ...OAUTH, call_timeout: '10s', endpoint: 'https://mcp.example/other' } }, ADA);
    expect(await world().accessToken()).toBe('access-f0t0');
    expect(await world().eventTypes()).toEqual([]);
    await put(KEY, { config: { ...OAUTH, auth_mode: 'none' } }, ADA);
    expect(await world().accessToken()).toBeUndefined();
    const told = ['token_deleted_admin', 'token_revoked_upstream', 'token_revoked_upstream'];
    expect(await world().eventTypes()).toEqual(told);
    await put(KEY, { config: { ...OAUTH, endpoint: 'https://elsewhere.example/' } }, ADA);
    expect(await world().eventTypes()).toEqual(told);
  });

  it('are tried at once when what failed is corrected, and wait out no backoff', async () => {
    const process = await room();
    await world().connected('f0', KEY, {}, { oauth2_client_id: 'client', oauth2_client_secret: 'wrong' });
    const { server, clock } = world();
    server.onRefresh(async () => answer({ error: 'invalid_client' }, { status: 401 }));
    const { keepalive, refresh } = await world().boot();
    await refresh();
    const failed = await world().credential();
    expect(failed.failure).toMatchObject({ type: 'misconfigured', idp_error_code: 'invalid_client' });
    expect(failed.next_refresh_at).toBeGreaterThan(clock.now() + MINUTE);
    await process.put(KEY, { config: { ...OAUTH, oauth2_client_id: 'client', oauth2_client_secret: 'right' } }, ADA);
    expect((await world().credential()).next_refresh_at).toBe(clock.now());
    expect(world().notifier.published.at(-1)).toBe('credentials mcp/acme');
    await keepalive.runOnce();
    await world().sent(2);
    expect(server.presented.at(-1)?.client.client_secret?.reveal()).toBe('right');
    await keepalive.stop();
    expect(await world().credential()).toMatchObject({ state: 'connected', failure: null });
  });

  it('keep the time of their next refresh when nothing failed, or nothing but the description changes', async () => {
    const { put } = await room();
    const { next_refresh_at } = await world().connected();
    await put(KEY, { config: { ...OAUTH, call_timeout: '10s' } }, ADA);
    expect((await world().credential()).next_refresh_at).toBe(next_refresh_at);
    world().server.onRefresh(async () => answer({ error: 'invalid_client' }, { status: 401 }));
    await (await world().boot()).refresh();
    const failed = await world().credential();
    await put(KEY, { config: { ...OAUTH, call_timeout: '10s' }, description: 'another' }, ADA);
    expect((await world().credential()).next_refresh_at).toBe(failed.next_refresh_at);
  });

  it('are not overwritten by somebody who read an older state', async () => {
    const { stores } = world();
    const { put } = await room({
      connections: {
        async read(key: typeof KEY) {
          const connection = await stores.connections.read(key);
          return connection && { ...connection, revision: connection.revision - 1n };
        },
      },
    });
    await put(KEY, { config: BEARER }, ADA);
    await expect(put(KEY, { config: BEARER }, ADA)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('show the state of their token', async () => {
    const { get, list } = await room();
    await world().connected();
    const expected = { state: 'connected', health: 'ok', idp_host: 'idp.example', needs_reauth: false };
    expect((await get(KEY)).oauth).toMatchObject(expected);
    expect((await list())[0]?.oauth).toMatchObject(expected);
  });

  it('are deleted with their token, which is revoked upstream, too (lesson 51)', async () => {
    const rooms = await room();
    await world().connected();
    await rooms.delete(KEY, ADA);
    await expect(rooms.get(KEY)).rejects.toMatchObject({ code: 'not_found' });
    expect(world().server.revoked).toEqual(['refresh-f0t0', 'access-f0t0']);
    expect(await world().events()).toMatchObject([
      { event_type: 'token_deleted_admin', actor: ADA, detail: { reason: 'connection_deleted', decided_by: 'person' } },
      { event_type: 'token_revoked_upstream', actor: ADA, idp_host: 'idp.example' },
      { event_type: 'token_revoked_upstream', actor: ADA, detail: { token_type_hint: 'access_token' } },
    ]);
    expect(world().notifier.published).toEqual(['connections mcp/acme', 'credentials mcp/acme']);
    await expect(rooms.delete(KEY, ADA)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('without a token are deleted silently; a history of nothing is none', async () => {
    const rooms = await room();
    await fixture.create(world().stores);
    await rooms.delete(KEY, ADA);
    expect(await world().eventTypes()).toEqual([]);
    expect(world().server.revoked).toEqual([]);
  });

  it('are not deleted when somebody else replaced them meanwhile', async () => {
    const { stores } = world();
    await world().connected();
    const rooms = await room({ connections: { ...stores.connections, delete: async () => false } });
    await expect(rooms.delete(KEY, ADA)).rejects.toMatchObject({ code: 'conflict' });
    expect(world().server.revoked).toEqual([]);
  });

  it('are tested, unless their configuration is not valid', async () => {
    const { signal } = new AbortController();
    await fixture.create(world().stores);
    expect(await (await room()).test(KEY, signal)).toMatchObject({ ok: true });
    const broken = await room({
      connections: {
        async read(key: typeof KEY) {
          const connection = await world().stores.connections.read(key);
          return connection && { ...connection, issues: [{ path: 'endpoint', message: 'is odd' }] };
        },
      },
    });
    expect(await broken.test(KEY, signal)).toEqual({
      ok: false,
      message: 'The configuration is not valid: endpoint is odd.',
      details: {},
    });
    expect(world().tests).toEqual(['acme']);
  });

  it('that no longer pass validation are listed with what is wrong, and may be corrected (lesson 33)', async () => {
    const rooms = await room();
    await rooms.put(KEY, { config: BEARER }, ADA);
    await rooms.put({ kind: 'mcp', name: 'sound' }, { config: BEARER }, ADA);
    await world().misconfigure(KEY, { auth_mode: 'bearer', credential: '[REDACTED]', endpoint: 'nowhere' });
    const listed = await rooms.list();
    expect(listed.map(({ name, issues }) => [name, issues.length > 0])).toEqual([
      ['acme', true],
      ['sound', false],
    ]);
    expect((await rooms.put(KEY, { config: BEARER }, ADA)).connection.issues).toEqual([]);
  });

  it('tell their history newest first', async () => {
    const rooms = await room();
    await world().connected();
    await rooms.put(KEY, { config: { ...OAUTH, auth_mode: 'none' } }, ADA);
    await rooms.delete(KEY, ADA);
    const history = await rooms.history({ key: KEY, limit: 10 });
    expect(history.map(({ event_type }) => event_type)).toEqual([
      'token_revoked_upstream',
      'token_revoked_upstream',
      'token_deleted_admin',
    ]);
  });
});

describeFlow('connections declared in the configuration file', (world) => {
  const declared = { config: BEARER, description: 'from the file' };

  it('belong to the file: nobody edits or deletes them elsewhere', async () => {
    const { connections } = await world().boot();
    await connections.declare(KEY, declared);
    expect(await connections.get(KEY)).toMatchObject({ source: 'file', updated_by: 'system:configuration-file' });
    await expect(connections.put(KEY, { config: BEARER }, ADA)).rejects.toMatchObject({
      code: 'managed_by_file',
      status: 409,
    });
    await expect(connections.delete(KEY, ADA)).rejects.toMatchObject({ code: 'managed_by_file' });
  });

  it('are written only when they changed', async () => {
    const { connections } = await world().boot();
    await connections.declare(KEY, declared);
    await connections.declare(KEY, declared);
    expect(world().notifier.published).toHaveLength(1);
    await connections.declare(KEY, { ...declared, description: 'anew' });
    await connections.declare(KEY, { config: { ...BEARER, credential: 'other' }, description: 'anew' });
    expect(world().notifier.published).toHaveLength(3);
  });

  it('take over what an operator had made, with its tokens', async () => {
    const { connections } = await world().boot();
    await world().connected();
    await connections.declare(KEY, { config: OAUTH, description: 'ours' });
    expect(await connections.get(KEY)).toMatchObject({ source: 'file', description: 'ours' });
    expect(await world().accessToken()).toBe('access-f0t0');
  });

  it('are given back to the operator when the file no longer names them, tokens and all', async () => {
    const { connections } = await world().boot();
    const other = { kind: 'mcp', name: 'other' };
    await connections.declare(KEY, { config: OAUTH, description: '' });
    await connections.declare(other, declared);
    await world().connected();
    await connections.release([other]);
    expect(await connections.get(KEY)).toMatchObject({ source: 'api' });
    expect(await connections.get(other)).toMatchObject({ source: 'file' });
    expect(await world().accessToken()).toBe('access-f0t0');
    expect(world().messages('warn')).toEqual([expect.stringContaining('no longer declared')]);
    await connections.release([other]);
    expect(world().messages('warn')).toHaveLength(1);
  });

  it('keep their secrets when they are given back', async () => {
    const { connections } = await world().boot();
    await connections.declare(KEY, declared);
    await connections.release([]);
    const connection = await world().stores.connections.read(KEY);
    expect(connection?.config.credential).toBe(new Secret('s3cret').reveal());
  });

  it('alone may run a program: nobody else can have the server start one', async () => {
    const { connections } = await world().boot();
    const program = { command: 'node', args: ['server.js'], env: { TOKEN: 'secret-of-theirs' } };
    await expect(connections.put(KEY, { config: program }, ADA)).rejects.toMatchObject({
      code: 'invalid_config',
      issues: [{ path: 'command', message: 'is accepted from the configuration file of the server alone' }],
    });
    expect(await world().stores.connections.read(KEY)).toBeUndefined();
    await connections.declare(KEY, { config: program, description: '' });
    expect((await connections.get(KEY)).config).toMatchObject({ command: 'node', env: { TOKEN: '[REDACTED]' } });
    await connections.release([]);
    expect(await connections.get(KEY)).toMatchObject({ source: 'api' });
    await expect(connections.put(KEY, { config: program }, ADA)).rejects.toMatchObject({ code: 'invalid_config' });
  });
});
