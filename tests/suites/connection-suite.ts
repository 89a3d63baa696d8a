import { type KyselyPlugin, sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Credential } from '../../src/core/credential.ts';
import type { SaveConnection } from '../../src/core/ports.ts';
import { REDACTED, Secret } from '../../src/core/redact.ts';
import { lockKeyOf } from '../../src/db/connection-rows.ts';
import { checkEncryptionKeys } from '../../src/db/encryption-keys.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { createSecretBox, keyIdOf } from '../../src/db/secret-box.ts';
import type { Fixture } from './store-fixture.ts';
import {
  at,
  config,
  connect,
  connectedChange,
  consent,
  create,
  createConnected,
  disconnectedChange,
  event,
  KEY,
  NOON,
  pendingConsent,
  readCredential,
  refreshedChange,
  settle,
  storesIn,
  storesOf,
  testBox,
} from './store-fixture.ts';

/** The same database, and how many statements have been sent to it since. */
function countStatements(opened: OpenDatabase): { opened: OpenDatabase; statements(): number } {
  let count = 0;
  const counting: KyselyPlugin = {
    transformQuery({ node }) {
      count += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return { opened: { ...opened, db: opened.db.withPlugin(counting) }, statements: () => count };
}

export function connectionSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  beforeEach(() => {
    fixture = storesOf(opened());
    stores = fixture.stores;
  });

  const changeOf = (more: Partial<SaveConnection>): SaveConnection => ({
    key: KEY,
    description: 'changed',
    config: config(),
    source: 'api',
    actor: 'bob@example.com',
    expected_revision: null,
    ...more,
  });

  const deletedEvents = ({ state }: Credential) => (state === 'connected' ? [event('token_deleted_admin')] : []);

  describe('listWithCredentials', () => {
    it('gives each connection with its credential, as reading them one by one does, sorted by name', async () => {
      await create(stores, { kind: 'mcp', name: 'zeta' });
      await createConnected(stores);
      await create(stores, { kind: 'mcp', name: 'beta' });
      const rows = await stores.connections.listWithCredentials();
      expect(rows.map(({ connection }) => connection)).toEqual(await stores.connections.list());
      const states = rows.map(({ connection: { key }, credential }) => [key.name, credential.key, credential.state]);
      expect(states).toEqual([
        ['acme', KEY, 'connected'],
        ['beta', { kind: 'mcp', name: 'beta' }, 'never_connected'],
        ['zeta', { kind: 'mcp', name: 'zeta' }, 'never_connected'],
      ]);
      expect(rows[0]?.credential).toEqual(await readCredential(stores));
    });

    it('asks the database once, however many there are', async () => {
      const counted = countStatements(opened());
      const { connections } = storesIn(counted.opened, fixture);
      for (const name of ['one', 'two', 'three']) await create(stores, { kind: 'mcp', name });
      expect(await connections.listWithCredentials()).toHaveLength(3);
      expect(counted.statements()).toBe(1);
    });
  });

  describe('save', () => {
    it('creates the connection with a credential that was never connected', async () => {
      const connection = await create(stores, KEY, { static_headers: { 'X-Team': 'blue' } });
      expect(connection).toMatchObject({
        key: KEY,
        source: 'api',
        description: 'test',
        issues: [],
        created_at: NOON,
        updated_at: NOON,
        updated_by: 'ada@example.com',
        config: { endpoint: 'https://mcp.example/mcp', static_headers: { 'X-Team': 'blue' } },
      });
      expect(await stores.connections.read(KEY)).toEqual(connection);
      expect(await stores.connections.list()).toEqual([connection]);
      const credential = await readCredential(stores);
      expect(credential).toMatchObject({ state: 'never_connected', token: null, consent_seq: 0n, binding: null });
      expect(credential.incarnation).toBe(connection.incarnation);
      expect(credential.lock_key).toBe(lockKeyOf(KEY));
    });

    it('refuses a name that is taken, also when two create it at once', async () => {
      const saved = await Promise.all([stores.connections.save(changeOf({})), stores.connections.save(changeOf({}))]);
      expect(saved.filter((one) => one.saved)).toHaveLength(1);
      expect(saved.find((one) => !one.saved)).toEqual({ saved: false, reason: 'exists' });
    });

    it('keeps the incarnation on a change, raises the revision and refuses one that was made on an older one', async () => {
      const first = await create(stores);
      fixture.clock.time += 1000;
      const second = await stores.connections.save(changeOf({ expected_revision: first.revision }));
      expect(second).toMatchObject({
        saved: true,
        connection: { incarnation: first.incarnation, updated_by: 'bob@example.com', updated_at: NOON + 1000 },
      });
      expect(second.saved && second.connection.revision).toBeGreaterThan(first.revision);
      const stale = await stores.connections.save(changeOf({ expected_revision: first.revision, description: 'lost' }));
      expect(stale).toEqual({ saved: false, reason: 'changed' });
      expect((await stores.connections.read(KEY))?.description).toBe('changed');
    });

    it('settles in the same transaction, or changes nothing at all', async () => {
      const connected = await createConnected(stores);
      const connection = await stores.connections.read(KEY);
      const expected_revision = connection?.revision ?? 0n;
      const settlement = {
        key: KEY,
        fence: at(connected),
        change: disconnectedChange,
        events: [event('token_deleted_admin')],
      };
      const stale = { ...settlement, fence: { ...at(connected), generation: 0n } };
      expect(await stores.connections.save(changeOf({ expected_revision, settlement: stale }))).toEqual({
        saved: false,
        reason: 'changed',
      });
      expect(await stores.connections.read(KEY)).toEqual(connection);
      expect((await stores.connections.save(changeOf({ expected_revision, settlement }))).saved).toBe(true);
      expect(await readCredential(stores)).toMatchObject({ state: 'revoked' });
      expect((await stores.events.list({ limit: 5 })).map((one) => one.event_type)).toEqual(['token_deleted_admin']);
    });
  });

  describe('save with a moved destination', () => {
    it('ends the consents that were begun for the old one, also one that is being exchanged (lesson 45)', async () => {
      const { incarnation, revision } = await create(stores);
      await stores.consents.create('begun', pendingConsent(incarnation));
      await stores.consents.create('consumed', pendingConsent(incarnation));
      const seq = (await stores.consents.consume('consumed'))?.consent_seq ?? 0n;
      const saved = await stores.connections.save(changeOf({ expected_revision: revision, drop_consents: true }));
      expect(saved.saved).toBe(true);
      expect(await stores.consents.peek('begun')).toBeUndefined();
      expect(await stores.consents.pending(KEY, NOON)).toBe(false);
      const late = await settle(stores, consent(incarnation, seq), connectedChange(seq));
      expect(late.applied).toBe(false);
      const next = await connect(stores);
      expect(next.state).toBe('connected');
    });

    it('leaves them alone when the save is refused, or moves nothing', async () => {
      const { incarnation, revision } = await create(stores);
      await stores.consents.create('begun', pendingConsent(incarnation));
      await stores.connections.save(changeOf({ expected_revision: revision - 1n, drop_consents: true }));
      await stores.connections.save(changeOf({ expected_revision: revision }));
      expect(await stores.consents.peek('begun')).toBeDefined();
    });
  });

  describe('delete', () => {
    it('removes the row, its token and its flows, writes its events, and keeps the history', async () => {
      const connected = await createConnected(stores);
      await settle(stores, at(connected), refreshedChange('f0t1'), { events: [event()] });
      expect(await stores.connections.delete(KEY, connected.incarnation, deletedEvents)).toMatchObject({
        deleted: true,
      });
      expect(await stores.connections.read(KEY)).toBeUndefined();
      expect(await stores.credentials.read(KEY)).toBeUndefined();
      const history = await stores.events.list({ key: KEY, limit: 10 });
      expect(history.map((one) => one.event_type)).toEqual(['token_deleted_admin', 'refresh_succeeded']);
    });

    it('gives back the token that it deleted, not one that was read before', async () => {
      const connected = await createConnected(stores);
      await settle(stores, at(connected), refreshedChange('f0t1'));
      const result = await stores.connections.delete(KEY, connected.incarnation, deletedEvents);
      expect(result.deleted && result.secrets?.refresh_token?.reveal()).toBe('refresh-f0t1');
      expect(result.deleted && result.secrets?.client_secret?.reveal()).toBe('client-secret');
      expect(result).toMatchObject({ credential: { state: 'connected', incarnation: connected.incarnation } });
    });

    it('tells its events what was there, so that no token is called deleted that was not', async () => {
      const { incarnation } = await create(stores);
      const result = await stores.connections.delete(KEY, incarnation, deletedEvents);
      expect(result).toMatchObject({ deleted: true, credential: { state: 'never_connected' }, secrets: null });
      expect(await stores.events.list({ limit: 10 })).toEqual([]);
    });

    it('leaves a successor alone, and writes nothing', async () => {
      const old = await create(stores);
      await stores.connections.delete(KEY, old.incarnation, () => []);
      const successor = await create(stores);
      expect(successor.incarnation).not.toBe(old.incarnation);
      expect(await stores.connections.delete(KEY, old.incarnation, deletedEvents)).toEqual({ deleted: false });
      expect(await stores.connections.read(KEY)).toEqual(successor);
      expect(await stores.events.list({ limit: 10 })).toEqual([]);
    });
  });

  describe('a bad row', () => {
    const secret = { oauth2_client_id: 'client', oauth2_client_secret: 'config-secret' };

    it('is listed with its issue when its secrets were written with another key (lesson 17)', async () => {
      await create(stores, KEY, secret);
      const { stores: later } = storesOf(opened(), testBox(2));
      const [connection] = await later.connections.list();
      expect(connection?.issues).toEqual([
        {
          path: 'config',
          message: 'cannot be decrypted: the encryption key is another than the one it was written with',
        },
      ]);
      expect(connection?.config.oauth2_client_secret).toBe(REDACTED);
    });

    it('is listed with the name of the field that no longer passes validation', async () => {
      await create(stores);
      await sql`update connections set config = '{"endpoint": 7, "auth_mode": "oauth", "colour": "red"}'::jsonb`.execute(
        opened().db,
      );
      const [connection] = await stores.connections.list();
      expect(connection?.issues.map((issue) => issue.path).sort()).toEqual(['colour', 'endpoint']);
    });

    it('is listed, and never used, when it names a program and did not come from the configuration file', async () => {
      await create(stores);
      await sql`update connections set config = '{"command": "node", "auth_mode": "none"}'::jsonb`.execute(opened().db);
      const issue = { path: 'command', message: 'is accepted from the configuration file of the server alone' };
      expect((await stores.connections.read(KEY))?.issues).toEqual([issue]);
      await sql`update connections set source = 'file'`.execute(opened().db);
      expect((await stores.connections.read(KEY))?.issues).toEqual([]);
    });

    it('is listed when a secret is missing or its kind is unknown', async () => {
      await create(stores, KEY, secret);
      await sql`update connections set config_secrets = null`.execute(opened().db);
      expect((await stores.connections.read(KEY))?.issues).toEqual([
        { path: 'oauth2_client_secret', message: 'its secret is missing; type it again' },
      ]);
      await create(stores, { kind: 'ftp', name: 'old' });
      expect((await stores.connections.read({ kind: 'ftp', name: 'old' }))?.issues[0]?.path).toBe('kind');
    });
  });

  describe('the check of the encryption key', () => {
    const check = (box: Fixture['box']) => checkEncryptionKeys({ db: opened().db, box, clock: fixture.clock });

    it('passes with the key that rows were written with, and says so clearly when it is another (lesson 17)', async () => {
      expect(await check(testBox(1))).toEqual({ ok: true });
      await createConnected(stores);
      expect(await check(testBox(1))).toEqual({ ok: true });
      const wrong = await check(testBox(2));
      expect(wrong).toMatchObject({ ok: false, rows: 1, error: { code: 'invalid_config' } });
      expect(!wrong.ok && wrong.error.message).toContain('ENCRYPTION_KEY is another key than the one');
      expect(await check(testBox(1))).toEqual({ ok: true });
    });

    it('counts a revocation that is still owed, whose connection is gone', async () => {
      await check(testBox(1));
      const sealed = Buffer.from(testBox(1).seal(new Secret('owed'), { ...KEY, column: 'refresh_token' }));
      await sql`insert into token_revocations
        (id, kind, name, actor, binding, origin_of_trust, refresh_token, created_at, next_at)
        values ('owed', 'mcp', 'gone', 'ada', '{}', 'https://idp.example', ${sealed}, clock_timestamp(), clock_timestamp())`.execute(
        opened().db,
      );
      expect(await check(testBox(2))).toMatchObject({ ok: false, rows: 1 });
      expect(await check(testBox(1))).toEqual({ ok: true });
    });

    it('accepts a new key beside the old one, and forgets a key that nothing needs', async () => {
      await check(testBox(1));
      expect(await check(testBox(2))).toEqual({ ok: true });
      await createConnected(storesOf(opened(), testBox(2)).stores);
      const keys = [3, 2].map((fill) => new Uint8Array(32).fill(fill));
      const both = createSecretBox({ keys: keys.map((key) => ({ id: keyIdOf(key), key })), random: fixture.random });
      expect(await check(both)).toEqual({ ok: true });
      const { rows } = await sql<{ count: bigint }>`select count(*) as count from encryption_keys`.execute(opened().db);
      expect(rows[0]?.count).toBe(2n);
    });
  });
}
