import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Fixture } from './store-fixture.ts';
import {
  accessTokenOf,
  at,
  binding,
  claimOf,
  connect,
  connectedChange,
  consent,
  create,
  createConnected,
  disconnectedChange,
  event,
  KEY,
  keptChange,
  lineage,
  MINUTE,
  NOON,
  readCredential,
  refreshedChange,
  revokedChange,
  settle,
  storesOf,
  tokens,
} from './store-fixture.ts';

/** The fences against every trace of the protocol that a store can stop. */
export function settlementSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let stores: Fixture['stores'];
  beforeEach(() => {
    fixture = storesOf(opened());
    stores = fixture.stores;
  });

  describe('the fences of settle', () => {
    it('refuses a refresh of a connection that was deleted and made again (trace 8)', async () => {
      const old = await createConnected(stores);
      await stores.connections.delete(KEY, old.incarnation, () => []);
      const successor = await createConnected(stores);
      for (const fence of [at(old), lineage(old), { ...at(old), generation: successor.generation }]) {
        const result = await settle(stores, fence, refreshedChange('f0t1'));
        expect(result).toMatchObject({ applied: false, current: { incarnation: successor.incarnation } });
      }
      expect(successor.generation).toBeGreaterThan(old.generation);
      expect(await accessTokenOf(stores)).toBe('access-f0t0');
    });

    it('refuses to replay an escrow into a successor of the same name (trace 9)', async () => {
      const old = await createConnected(stores);
      await stores.connections.delete(KEY, old.incarnation, () => []);
      await create(stores);
      expect((await settle(stores, lineage(old), refreshedChange('f0t1'))).applied).toBe(false);
      expect(await readCredential(stores)).toMatchObject({ state: 'never_connected', token: null });
    });

    it('refuses a late invalid_grant for the token of a predecessor (trace 10)', async () => {
      const old = await createConnected(stores);
      await stores.connections.delete(KEY, old.incarnation, () => []);
      await createConnected(stores);
      const result = await settle(stores, at(old), revokedChange, { events: [event('refresh_failed_revoked')] });
      expect(result.applied).toBe(false);
      expect(await readCredential(stores)).toMatchObject({ state: 'connected' });
      expect(await stores.events.list({ limit: 10 })).toEqual([]);
    });

    it('lets nothing bring a token back after Disconnect, neither a reply nor its escrow (trace 11)', async () => {
      const parent = await createConnected(stores);
      expect((await settle(stores, at(parent), disconnectedChange)).applied).toBe(true);
      expect((await settle(stores, at(parent), refreshedChange('f0t1'))).applied).toBe(false);
      const replayed = await settle(stores, lineage(parent), refreshedChange('f0t1'));
      expect(replayed).toMatchObject({ applied: false, current: { state: 'revoked', token: null } });
    });

    it('refuses a Connect whose code was exchanged before a Disconnect, or before a Delete (trace 12)', async () => {
      const before = await createConnected(stores);
      const early = await stores.consents.drawConsentSeq();
      await settle(stores, at(before), disconnectedChange);
      const landing = await settle(stores, consent(before.incarnation, early), connectedChange(early, 'f1t0'));
      expect(landing).toMatchObject({ applied: false, current: { state: 'revoked' } });
      await stores.connections.delete(KEY, before.incarnation, () => []);
      const gone = await settle(stores, consent(before.incarnation, early), connectedChange(early, 'f1t0'));
      expect(gone).toEqual({ applied: false, current: undefined });
      await create(stores);
      const other = await settle(stores, consent(before.incarnation, early), connectedChange(early, 'f1t0'));
      expect(other).toMatchObject({ applied: false, current: { state: 'never_connected' } });
    });

    it('lets the later of two consents win, whichever lands first (trace 13)', async () => {
      const { incarnation } = await create(stores);
      const first = await stores.consents.drawConsentSeq();
      const second = await stores.consents.drawConsentSeq();
      expect((await settle(stores, consent(incarnation, first), connectedChange(first, 'f1t0'))).applied).toBe(true);
      expect((await settle(stores, consent(incarnation, second), connectedChange(second, 'f2t0'))).applied).toBe(true);
      expect((await settle(stores, consent(incarnation, first), connectedChange(first, 'f1t0'))).applied).toBe(false);
      expect((await settle(stores, consent(incarnation, second), connectedChange(second, 'f2t0'))).applied).toBe(false);
      expect(await accessTokenOf(stores)).toBe('access-f2t0');
    });

    it('shows a commit whose acknowledgement was lost as the row that it made (trace 15)', async () => {
      const parent = await createConnected(stores);
      await settle(stores, at(parent), refreshedChange('f0t1'));
      const again = await settle(stores, at(parent), refreshedChange('f0t1'));
      expect(again).toMatchObject({
        applied: false,
        current: { settled_attempt_id: 'refresh-f0t1', token: { refresh_token_fingerprint: 'print-f0t1' } },
      });
    });

    it('lifts a verdict of the provider or the platform by an escrowed successor (trace 17)', async () => {
      for (const decided_by of ['idp', 'platform'] as const) {
        const { key, ...parent } = await createConnected(stores, { kind: 'mcp', name: `lifted-by-${decided_by}` });
        const verdict = { ...revokedChange, revocation: { ...revokedChange.revocation, decided_by } };
        await stores.credentials.settle({ key, fence: at(parent), change: verdict, events: [] });
        const lifted = await settle(stores, lineage(parent), refreshedChange('f0t1'), { key });
        expect(lifted.applied).toBe(true);
        expect(await readCredential(stores, key)).toMatchObject({
          state: 'connected',
          revocation: null,
          binding,
          token: { scope: 'read write', authenticated_by: 'ada@example.com' },
        });
        const view = await stores.credentials.readForAttempt(key);
        expect(view?.secrets?.client_secret?.reveal()).toBe('client-secret');
      }
    });

    it('does not lift a verdict on a later generation than the escrow knows', async () => {
      const parent = await createConnected(stores);
      await settle(stores, at(parent), refreshedChange('f0t1'));
      await settle(stores, at(await readCredential(stores)), revokedChange);
      expect((await settle(stores, lineage(parent), refreshedChange('late'))).applied).toBe(false);
    });

    it('refuses a revocation of a generation that is not the row’s any more, and its events (trace 18, rule 18)', async () => {
      const parent = await createConnected(stores);
      await connect(stores, 'f1t0');
      const result = await settle(stores, at(parent), revokedChange, {
        events: [event('refresh_failed_revoked'), event('token_deleted_revoked')],
      });
      expect(result.applied).toBe(false);
      expect(await accessTokenOf(stores)).toBe('access-f1t0');
      expect(await stores.events.list({ limit: 10 })).toEqual([]);
    });

    it('lets a Connect beat a refresh that is on the wire (rule 19)', async () => {
      const parent = await createConnected(stores);
      expect(await stores.credentials.claimIntent(claimOf(parent, 'attempt'))).toBe(true);
      const connected = await connect(stores, 'f1t0');
      expect(connected.intent).toBeNull();
      expect((await settle(stores, lineage(parent), refreshedChange('f0t1'))).applied).toBe(false);
    });

    it('applies one of two settlements of the same generation that run at once', async () => {
      const parent = await createConnected(stores);
      const results = await Promise.all([
        settle(stores, at(parent), refreshedChange('f0t1'), { events: [event()] }),
        settle(stores, at(parent), revokedChange, { events: [event('token_deleted_revoked')] }),
      ]);
      expect(results.filter((result) => result.applied)).toHaveLength(1);
      expect(await stores.events.list({ limit: 10 })).toHaveLength(1);
    });
  });

  describe('what settle stores', () => {
    it('keeps scope and deadline that an answer does not repeat, unless a new refresh token came', async () => {
      await create(stores);
      const first = await connect(stores, 'f0t0', KEY, {
        token_set: tokens('f0t0', { refresh_expires_at: NOON + 9 * MINUTE, scope: 'granted' }),
      });
      expect(first.token).toMatchObject({ scope: 'granted', refresh_expires_at: NOON + 9 * MINUTE });
      await settle(
        stores,
        at(first),
        refreshedChange('f0t0', { token_set: tokens('x', { refresh_token: undefined, received_at: NOON + MINUTE }) }),
      );
      const second = await readCredential(stores);
      expect(second.token).toEqual({
        ...first.token,
        received_at: NOON + MINUTE,
        refresh_used_at: NOON + MINUTE,
        last_refreshed_at: NOON + MINUTE,
      });
      await settle(stores, at(second), refreshedChange('f0t2'));
      expect((await readCredential(stores)).token).toMatchObject({ scope: 'granted', refresh_expires_at: null });
    });

    it('carries over the refresh token when the answer holds no new one', async () => {
      const parent = await createConnected(stores);
      const token_set = tokens('f0t1', { refresh_token: undefined });
      const refresh_token = new Secret('refresh-f0t0');
      await settle(stores, at(parent), refreshedChange('f0t0', { token_set, refresh_token }));
      const view = await stores.credentials.readForAttempt(KEY);
      expect(view?.secrets?.access_token.reveal()).toBe('access-f0t1');
      expect(view?.secrets?.refresh_token?.reveal()).toBe('refresh-f0t0');
    });

    it('takes every token from a revoked row, remembers from which generation, and schedules nothing', async () => {
      const parent = await createConnected(stores);
      const result = await settle(stores, at(parent), revokedChange);
      const row = await readCredential(stores);
      expect(row).toMatchObject({ state: 'revoked', token: null, next_refresh_at: null, intent: null });
      expect(row.revocation).toEqual({
        occurred_at: NOON,
        reason: 'invalid_grant',
        idp_host: 'idp.example',
        decided_by: 'idp',
        from_generation: parent.generation,
        first_refresh: true,
      });
      expect(result).toEqual({ applied: true, generation: row.generation, current: row });
      expect(row.generation).toBeGreaterThan(parent.generation);
      expect(await stores.credentials.readForAttempt(KEY)).toMatchObject({ secrets: null });
      expect(await stores.credentials.nextDueAt()).toBeNull();
    });

    it('keeps the generation on a failure, and closes the intent', async () => {
      const parent = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(parent, 'mine'));
      const own = keptChange('mine', 'close', { error_class: 'rate_limited' });
      expect(await settle(stores, at(parent), own)).toMatchObject({ applied: true, generation: parent.generation });
      expect(await readCredential(stores)).toMatchObject({
        state: 'connected',
        generation: parent.generation,
        intent: null,
        ambiguous: false,
        failure: { type: 'transient', count: 1, error_class: 'rate_limited', idp_error_code: null, since: NOON },
        next_refresh_at: NOON + MINUTE,
        next_refresh_reason: 'retry',
      });
    });

    it('takes an answer once, and only of the attempt whose intent is open', async () => {
      const parent = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(parent, 'mine'));
      const events = { events: [event('refresh_failed_transient')] };
      const other = await settle(stores, at(parent), keptChange('another', 'close'), events);
      expect(other).toMatchObject({ applied: false, current: { intent: { attempt_id: 'mine' }, failure: null } });
      await settle(stores, at(parent), keptChange('mine', 'close'), events);
      const row = await readCredential(stores);
      const again = await settle(stores, at(parent), keptChange('mine', 'close', { count: 2 }), events);
      expect(again).toEqual({ applied: false, current: row });
      expect(await readCredential(stores)).toEqual(row);
      expect(await stores.events.list({ limit: 10 })).toHaveLength(1);
    });

    it('takes no failure that counts on from a row that has changed since', async () => {
      const parent = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(parent, 'mine'));
      await settle(stores, at(parent), keptChange('mine', 'keep_open'));
      const row = await readCredential(stores);
      const stale = await settle(stores, at(parent), keptChange('mine', 'keep_open'));
      expect(stale).toMatchObject({ applied: false, current: { failure: { count: 1 } } });
      await settle(stores, at(parent), keptChange('mine', 'keep_open', { count: 2 }));
      expect(row.failure?.count).toBe(1);
      expect((await readCredential(stores)).failure?.count).toBe(2);
    });

    it('remembers an ambiguity through later failures, until a success ends it (rules 8 and 17)', async () => {
      const parent = await createConnected(stores);
      await stores.credentials.claimIntent(claimOf(parent, 'lost'));
      await settle(stores, at(parent), keptChange('lost', 'keep_open'));
      expect(await readCredential(stores)).toMatchObject({ ambiguous: true, intent: { attempt_id: 'lost' } });
      await stores.credentials.claimIntent(claimOf(parent, 'next', { expected_attempt_id: 'lost' }));
      await settle(stores, at(parent), keptChange('next', 'close', { count: 2, error_class: 'rate_limited' }));
      expect(await readCredential(stores)).toMatchObject({ ambiguous: true, intent: { attempt_id: 'lost' } });
      await settle(stores, at(parent), refreshedChange('f0t1'));
      expect(await readCredential(stores)).toMatchObject({ ambiguous: false, failure: null, intent: null });
    });

    it('writes no token, verifier or secret as it is', async () => {
      await create(stores, KEY, { oauth2_client_id: 'client', oauth2_client_secret: 'config-secret' });
      await connect(stores);
      const { rows } = await sql<{ dump: string }>`
        select (select string_agg(connections::text, '') from connections)
          || (select string_agg(c::text, '') from connection_credentials c) as dump`.execute(opened().db);
      const hex = (text: string) => Buffer.from(text).toString('hex');
      for (const secret of ['access-f0t0', 'refresh-f0t0', 'client-secret', 'config-secret']) {
        expect(rows[0]?.dump).not.toContain(secret);
        expect(rows[0]?.dump).not.toContain(hex(secret));
      }
    });
  });

  describe('events of a settlement', () => {
    it('are written in order, with the generation that was drawn', async () => {
      const parent = await createConnected(stores);
      const result = await settle(stores, at(parent), revokedChange, {
        events: [event('refresh_failed_revoked'), event('token_deleted_revoked')],
      });
      const events = await stores.events.list({ limit: 10 });
      expect(events.map((one) => one.event_type)).toEqual(['token_deleted_revoked', 'refresh_failed_revoked']);
      expect(result.applied && result.generation.toString()).toBe(events[0]?.detail.generation);
      expect(events[0]).toMatchObject({ occurred_at: new Date(NOON).toISOString(), connection_name: 'acme' });
    });

    it('carry no generation when none was drawn', async () => {
      const parent = await createConnected(stores);
      await settle(stores, at(parent), keptChange('a', 'keep_open'), { events: [event('refresh_failed_transient')] });
      expect((await stores.events.list({ limit: 1 }))[0]?.detail).toEqual({});
    });

    it('fail together with the change of the token, and leave neither', async () => {
      const parent = await createConnected(stores);
      const unknownType = { ...event(), event_type: 'refresh_imagined' as 'refresh_succeeded' };
      const unknownField = { ...event(), detail: { access_token: 'SECRET' } as object };
      for (const broken of [unknownType, unknownField]) {
        const failing = settle(stores, at(parent), refreshedChange('f0t1'), { events: [event(), broken] });
        await expect(failing).rejects.toMatchObject({ name: 'AppError', code: 'internal' });
      }
      expect(await readCredential(stores)).toEqual(parent);
      expect(await stores.events.list({ limit: 10 })).toEqual([]);
    });
  });
}
