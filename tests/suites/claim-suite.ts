import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Credential } from '../../src/core/credential.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { isMemory } from '../support/memory-tables.ts';
import type { Fixture } from './store-fixture.ts';
import {
  accessTokenOf,
  at,
  binding,
  claimOf,
  create,
  createConnected,
  due,
  KEY,
  keptChange,
  MINUTE,
  NOON,
  readCredential,
  refreshedChange,
  settle,
  storesOf,
  testBox,
} from './store-fixture.ts';

const LEASE_MS = 90_000;
const names = (credentials: Pick<Credential, 'key'>[]) => credentials.map((one) => one.key.name).sort();

/** The intent that is the mutex, and the claim of due rows. */
export function claimSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  beforeEach(() => {
    fixture = storesOf(opened());
    stores = fixture.stores;
  });

  /** Makes an intent as old as a crash would leave it. */
  async function age(key: { name: string }, ms: number): Promise<void> {
    const database = opened();
    if (isMemory(database)) return database.memory.pass(ms);
    await sql`update connection_credentials
      set intent_at = clock_timestamp() - cast(${ms} as float8) * interval '1 millisecond'
      where name = ${key.name}`.execute(database.db);
  }

  async function connectMany(count: number, more = {}): Promise<Credential[]> {
    const credentials = [];
    for (let index = 0; index < count; index += 1) {
      const key = { kind: 'mcp', name: `row-${String(index).padStart(3, '0')}` };
      const schedule = { at: NOON + index, reason: 'access_token_expiring' };
      credentials.push(await createConnected(stores, key, { schedule, ...more }));
    }
    return credentials;
  }

  describe('claimIntent', () => {
    it('lets one of two replicas that claim at once present the token (trace 1, rule 6)', async () => {
      const credential = await createConnected(stores);
      const claims = await Promise.all([
        stores.credentials.claimIntent(claimOf(credential, 'a')),
        stores.credentials.claimIntent(claimOf(credential, 'b', { replica_id: 'replica-b', boot_id: 2n })),
      ]);
      expect(claims.filter(Boolean)).toHaveLength(1);
      const { intent } = await readCredential(stores);
      expect(intent).toMatchObject({ attempt_id: claims[0] ? 'a' : 'b', boot_id: claims[0] ? 1n : 2n });
      expect(intent?.age_ms).toBeGreaterThanOrEqual(0);
    });

    it('fails against another intent than the one that was read', async () => {
      const credential = await createConnected(stores);
      expect(await stores.credentials.claimIntent(claimOf(credential, 'a'))).toBe(true);
      expect(await stores.credentials.claimIntent(claimOf(credential, 'b'))).toBe(false);
      const wrong = claimOf(credential, 'b', { expected_attempt_id: 'c' });
      expect(await stores.credentials.claimIntent(wrong)).toBe(false);
      const right = claimOf(credential, 'b', { expected_attempt_id: 'a' });
      expect(await stores.credentials.claimIntent(right)).toBe(true);
      expect((await readCredential(stores)).intent?.attempt_id).toBe('b');
    });

    it('remembers an intent that it overwrites as ambiguous, since a crash reports nothing (rule 17)', async () => {
      const credential = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(credential, 'crashed'));
      expect((await readCredential(stores)).ambiguous).toBe(false);
      await stores.credentials.claimIntent(claimOf(credential, 'next', { expected_attempt_id: 'crashed' }));
      expect((await readCredential(stores)).ambiguous).toBe(true);
    });

    it('fails on another generation, another incarnation and a row that is not connected', async () => {
      const credential = await createConnected(stores);
      await create(stores, { kind: 'mcp', name: 'new' });
      const other = [
        claimOf(credential, 'a', { generation: credential.generation + 1n }),
        claimOf(credential, 'a', { incarnation: '00000000-0000-4000-8000-000000000000' }),
        claimOf(await readCredential(stores, { kind: 'mcp', name: 'new' }), 'a'),
      ];
      for (const claim of other) expect(await stores.credentials.claimIntent(claim)).toBe(false);
      await settle(stores, at(credential), refreshedChange('f0t1'));
      expect(await stores.credentials.claimIntent(claimOf(credential, 'a'))).toBe(false);
    });

    it('is taken back by its own attempt only (rule 7)', async () => {
      const credential = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(credential, 'mine'));
      await stores.credentials.withdrawIntent(KEY, 'another');
      expect((await readCredential(stores)).intent?.attempt_id).toBe('mine');
      await stores.credentials.withdrawIntent(KEY, 'mine');
      expect((await readCredential(stores)).intent).toBeNull();
    });

    it('gives back, with its age, the intent that it took over, when nothing came of it', async () => {
      const credential = await createConnected(stores);
      const owner = { replica_id: 'replica-b', boot_id: 7n };
      const older = claimOf(credential, 'older', owner);
      const [kept, withdrawn] = ['settled', 'withdrawn'];
      await stores.credentials.claimIntent(older);
      for (const attempt_id of [kept, withdrawn]) {
        await age(KEY, 2 * LEASE_MS);
        expect((await readCredential(stores)).intent?.given_back).toBe(attempt_id === kept ? undefined : true);
        await stores.credentials.claimIntent(claimOf(credential, attempt_id, { expected_attempt_id: 'older' }));
        if (attempt_id === withdrawn) await stores.credentials.withdrawIntent(KEY, attempt_id);
        else await settle(stores, at(credential), keptChange(attempt_id, 'close'));
        const { intent, ambiguous } = await readCredential(stores);
        expect(intent).toMatchObject({
          ...owner,
          attempt_id: 'older',
          refresh_token_fingerprint: 'print-f0t0',
          given_back: true,
        });
        expect(intent?.age_ms).toBeGreaterThanOrEqual(2 * LEASE_MS);
        expect(ambiguous).toBe(true);
      }
      await stores.credentials.claimIntent(claimOf(credential, 'last', { expected_attempt_id: 'older' }));
      await settle(stores, at(credential), refreshedChange('f0t1'));
      const renewed = await readCredential(stores);
      expect(renewed.intent).toBeNull();
      await stores.credentials.claimIntent(claimOf(renewed, 'next'));
      await stores.credentials.withdrawIntent(KEY, 'next');
      expect((await readCredential(stores)).intent).toBeNull();
    });

    it('is closed by its own late answer, also after it was taken over and given back (rule 8)', async () => {
      const credential = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(credential, 'older'));
      await stores.credentials.claimIntent(claimOf(credential, 'newer', { expected_attempt_id: 'older' }));
      await stores.credentials.withdrawIntent(KEY, 'newer');
      expect((await readCredential(stores)).intent).toMatchObject({ attempt_id: 'older', given_back: true });
      expect((await settle(stores, at(credential), keptChange('older', 'close'))).applied).toBe(true);
      expect((await readCredential(stores)).intent).toBeNull();
    });

    it('is read together with its owner: how long unseen, and what it has drained (rule 15)', async () => {
      const credential = await createConnected(stores);
      expect((await stores.credentials.readForAttempt(KEY))?.intent_owner).toBeNull();
      await stores.credentials.claimIntent(claimOf(credential, 'a'));
      expect((await stores.credentials.readForAttempt(KEY))?.intent_owner).toBeNull();
      const first = await stores.replicas.boot('replica-a');
      const second = await stores.replicas.boot('replica-a');
      expect(second).toBeGreaterThan(first);
      await stores.replicas.seen('replica-a');
      expect(await stores.replicas.seen('replica-a', second)).toBe(true);
      // Another process has come up with a copy of the same identity.
      expect(await stores.replicas.seen('replica-a', first)).toBe(false);
      const alive = await stores.credentials.readForAttempt(KEY);
      expect(alive?.intent_owner).toMatchObject({ drained_boot: null });
      expect(alive?.intent_owner?.last_seen_age_ms).toBeGreaterThanOrEqual(0);
      await stores.replicas.drained('replica-a', second);
      await stores.replicas.drained('replica-a', first);
      expect((await stores.credentials.readForAttempt(KEY))?.intent_owner?.drained_boot).toBe(second);
    });
  });

  describe('claimDue', () => {
    it('returns what is due, soonest first and no more than asked for', async () => {
      await connectMany(4);
      await createConnected(stores, KEY, { schedule: { at: NOON + 90 * MINUTE, reason: 'access_token_expiring' } });
      const claimed = await stores.credentials.claimDue(due({ limit: 3 }));
      expect(claimed.map((one) => one.key.name)).toEqual(['row-000', 'row-001', 'row-002']);
      for (const one of claimed) await opened().locker.unlock(one.lock_key);
      expect(await stores.credentials.nextDueAt()).toBe(NOON);
    });

    it('is not starved by rows that are leased, held here, or of a host that is full (lesson 13)', async () => {
      const rows = await connectMany(30);
      for (const row of rows.slice(0, 10)) await stores.credentials.claimIntent(claimOf(row, row.key.name));
      const full = { ...binding, token_endpoint: 'https://full.example/token' };
      await createConnected(stores, { kind: 'mcp', name: 'full' }, { binding: full, schedule: schedule(NOON - 1) });
      const query = due({
        exclude_lock_keys: rows.slice(10, 27).map((row) => row.lock_key),
        exclude_hosts: ['full.example', 'other.example'],
        limit: 3,
      });
      const claimed = await stores.credentials.claimDue(query);
      expect(names(claimed)).toEqual(['row-027', 'row-028', 'row-029']);
      for (const one of claimed) await opened().locker.unlock(one.lock_key);
    });

    it('returns a row again once its lease has run out by the database’s clock (rule 7)', async () => {
      const credential = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(credential, 'crashed'));
      expect(await stores.credentials.claimDue(due({ lease_ms: LEASE_MS }))).toEqual([]);
      await age(KEY, LEASE_MS + 1000);
      const claimed = await stores.credentials.claimDue(due({ lease_ms: LEASE_MS }));
      const { lock_key } = credential;
      const dueOne = { key: KEY, lock_key, idp_host: 'idp.example', next_refresh_reason: 'access_token_expiring' };
      expect(claimed).toEqual([dueOne]);
      expect((await readCredential(stores)).intent?.age_ms).toBeGreaterThan(LEASE_MS);
      await opened().locker.unlock(credential.lock_key);
    });

    it('leaves the intent of a living replica to it, as nobody else can resolve it (rule 15)', async () => {
      const credential = await createConnected(stores);
      const boot_id = await stores.replicas.boot('replica-a');
      await stores.credentials.claimIntent(claimOf(credential, 'open', { boot_id }));
      await age(KEY, LEASE_MS + 1000);
      const claim = async (replica_id: string, owner_wait_ms = 900_000) => {
        const claimed = await stores.credentials.claimDue(due({ replica_id, owner_wait_ms }));
        for (const one of claimed) await opened().locker.unlock(one.lock_key);
        return claimed.length;
      };
      expect(await claim('replica-b')).toBe(0);
      expect(await claim('replica-a')).toBe(1);
      expect(await claim('replica-b', 0)).toBe(1);
      await stores.replicas.drained('replica-a', boot_id);
      expect(await claim('replica-b')).toBe(0);
      await stores.replicas.drained('replica-a', await stores.replicas.boot('replica-a'));
      expect(await claim('replica-b')).toBe(1);
    });

    it('claims from strangers once their owner is silent for long, or unknown (rule 15)', async () => {
      const credential = await createConnected(stores);
      const boot_id = await stores.replicas.boot('replica-a');
      await stores.credentials.claimIntent(claimOf(credential, 'open', { boot_id }));
      await age(KEY, LEASE_MS + 1000);
      const query = due({ replica_id: 'replica-b', owner_wait_ms: 900_000 });
      const silence = sql`update replicas set last_seen = clock_timestamp() - interval '16 minutes'`;
      for (const change of [silence, sql`delete from replicas`]) {
        await change.execute(opened().db);
        expect(names(await stores.credentials.claimDue(query))).toEqual(['acme']);
        await opened().locker.unlock(credential.lock_key);
      }
    });

    it('asks for nothing when nothing is wanted', async () => {
      await createConnected(stores);
      expect(await stores.credentials.claimDue(due({ limit: 0 }))).toEqual([]);
    });

    it('passes over tokens written with another key, which stay in the list as invalid (lesson 17)', async () => {
      await createConnected(stores, KEY, { schedule: schedule(NOON - 1) });
      const later = storesOf(opened(), testBox(2)).stores;
      await createConnected(later, { kind: 'mcp', name: 'later' });
      const claimed = await later.credentials.claimDue(due());
      expect(names(claimed)).toEqual(['later']);
      expect(await later.credentials.nextDueAt()).toBe(NOON + 50 * MINUTE);
      expect(await readCredential(later)).toMatchObject({ state: 'connected' });
      expect(await accessTokenOf(later)).toBeUndefined();
      expect((await later.credentials.readForAttempt(KEY))?.secrets).toBeNull();
      expect((await later.connections.read(KEY))?.issues).toEqual([
        { path: 'access_token', message: expect.stringContaining('the encryption key is another than the one') },
      ]);
      for (const one of claimed) await opened().locker.unlock(one.lock_key);
    });

    it('reports a token that was moved from another connection instead of using it', async () => {
      await createConnected(stores);
      await createConnected(stores, { kind: 'mcp', name: 'thief' });
      await sql`update connection_credentials set access_token =
        (select access_token from connection_credentials where name = 'acme') where name = 'thief'`.execute(
        opened().db,
      );
      const thief = { kind: 'mcp', name: 'thief' };
      expect(await accessTokenOf(stores, thief)).toBeUndefined();
      expect((await stores.connections.read(thief))?.issues).toEqual([
        { path: 'access_token', message: expect.stringContaining('damaged or changed') },
      ]);
      expect((await stores.connections.read(KEY))?.issues).toEqual([]);
    });
  });

  describe('postpone', () => {
    it('moves the next refresh of the generation that was seen, and of no other', async () => {
      const credential = await createConnected(stores);
      const { incarnation, generation } = credential;
      await stores.credentials.postpone(KEY, incarnation, generation - 1n, NOON);
      expect(await stores.credentials.nextDueAt()).toBe(NOON + 50 * MINUTE);
      await stores.credentials.postpone(KEY, incarnation, generation, NOON + MINUTE);
      expect(await readCredential(stores)).toMatchObject({
        generation,
        next_refresh_at: NOON + MINUTE,
        next_refresh_reason: 'access_token_expiring',
      });
    });
  });
}

function schedule(instant: number) {
  return { at: instant, reason: 'access_token_expiring' };
}
