import { beforeEach, describe, expect, it } from 'vitest';
import type { NewAuthEvent } from '../../src/core/auth-event.ts';
import type { Credential } from '../../src/core/credential.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import {
  accessTokenOf,
  at,
  claimOf,
  createConnected,
  event,
  type Fixture,
  keptChange,
  lineage,
  readCredential,
  refreshedChange,
  revokedChange,
  storesOf,
  tokens,
} from './store-fixture.ts';

const keyOf = (name: string) => ({ kind: 'mcp', name });

/** What comes at one moment shares statements, and still each connection stands or falls by itself. */
export function togetherSuite(opened: () => OpenDatabase): void {
  let stores: Fixture['stores'];
  let rows: Credential[];
  beforeEach(async () => {
    stores = storesOf(opened()).stores;
    rows = [];
    // One more than share a statement.
    for (let index = 0; index < 33; index += 1) rows.push(await createConnected(stores, keyOf(`row-${index}`)));
  });
  const row = (index: number): Credential => rows[index] as Credential;
  const refresh = (credential: Credential, events: NewAuthEvent[] = [event()]) => {
    const { key } = credential;
    return stores.credentials.settle({ key, fence: lineage(credential), change: refreshedChange(key.name), events });
  };
  const typesOf = async (index: number) =>
    (await stores.events.list({ key: row(index).key, limit: 9 })).map(({ event_type }) => event_type);

  describe('settlements of one moment', () => {
    it('are all written, each with its event, its own tokens and a generation that nobody else has', async () => {
      const results = await Promise.all(rows.map((one) => refresh(one)));
      const generations = results.map((result) => (result.applied ? result.generation : 0n));
      expect(new Set([...generations, ...rows.map(({ generation }) => generation), 0n]).size).toBe(2 * rows.length + 1);
      for (const [index, result] of results.entries()) {
        expect(result).toEqual({
          applied: true,
          generation: generations[index],
          current: await readCredential(stores, row(index).key),
        });
        expect(await accessTokenOf(stores, row(index).key)).toBe(`access-row-${index}`);
        const [told] = await stores.events.list({ key: row(index).key, limit: 9 });
        expect(told).toMatchObject({
          event_type: 'refresh_succeeded',
          detail: { generation: `${generations[index]}` },
        });
      }
    });

    it('leave the others intact where one is fenced off, gone, or cannot be told (rule 11)', async () => {
      const settled = await refresh(row(0));
      await stores.connections.delete(row(1).key, row(1).incarnation, () => []);
      const untold = { ...event(), detail: { unheard_of: true } } as unknown as NewAuthEvent;
      const [late, gone, wrong, ...others] = await Promise.allSettled([
        refresh(row(0)),
        refresh(row(1)),
        refresh(row(2), [untold]),
        ...rows.slice(3, 8).map((one) => refresh(one)),
      ]);
      expect(late).toMatchObject({ value: { applied: false, current: settled.current } });
      expect(gone).toMatchObject({ value: { applied: false, current: undefined } });
      expect(wrong).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
      for (const other of others) expect(other).toMatchObject({ value: { applied: true } });
      expect(await readCredential(stores, row(2).key)).toEqual(row(2));
      expect(await typesOf(0)).toEqual(['refresh_succeeded']);
      expect(await typesOf(2)).toEqual([]);
      expect(await typesOf(3)).toEqual(['refresh_succeeded']);
    });

    it('may be of every kind', async () => {
      await stores.credentials.claimIntent(claimOf(row(1), 'failed'));
      await stores.credentials.claimIntent(claimOf(row(2), 'silent'));
      const change = (index: number, changed: ReturnType<typeof refreshedChange>) =>
        stores.credentials.settle({ key: row(index).key, fence: at(row(index)), change: changed, events: [event()] });
      const results = await Promise.all([
        refresh(row(0)),
        change(1, keptChange('failed', 'close')),
        change(2, keptChange('silent', 'keep_open')),
        change(3, revokedChange),
      ]);
      const intent = { attempt_id: 'silent' };
      expect(results).toMatchObject([
        { applied: true, current: { state: 'connected', failure: null } },
        {
          applied: true,
          generation: row(1).generation,
          current: { intent: null, ambiguous: false, failure: { count: 1 } },
        },
        { applied: true, generation: row(2).generation, current: { intent, ambiguous: true } },
        { applied: true, current: { state: 'revoked', revocation: { from_generation: row(3).generation } } },
      ]);
      for (const [index, { current }] of results.entries()) {
        const { intent: _open, ...read } = await readCredential(stores, row(index).key);
        expect(current).toMatchObject(read);
      }
    });

    it('of one connection take their turns', async () => {
      const results = await Promise.all([refresh(row(0)), refresh(row(0)), refresh(row(1))]);
      expect(results.map(({ applied }) => applied)).toEqual([true, false, true]);
      expect(await typesOf(0)).toEqual(['refresh_succeeded']);
    });

    it('store what a provider said, half a surrogate pair included', async () => {
      const token_set = tokens('odd', { scope: 'a\ud800b \\ud800' });
      const { key } = row(0);
      const settled = await stores.credentials.settle({
        key,
        fence: lineage(row(0)),
        change: refreshedChange('odd', { token_set }),
        events: [],
      });
      expect(settled.applied).toBe(true);
      expect((await readCredential(stores, key)).token?.scope).toBe('a\ufffdb \\ud800');
    });
  });

  describe('claims of one moment', () => {
    it('are each a compare-and-set of their own (rule 6)', async () => {
      await refresh(row(0));
      await stores.credentials.claimIntent(claimOf(row(1), 'earlier'));
      const claims = [...rows.map((one) => claimOf(one, `of-${one.key.name}`)), claimOf(row(2), 'second')];
      const claimed = await Promise.all(claims.map((claim) => stores.credentials.claimIntent(claim)));
      expect(claimed).toEqual([false, false, ...rows.slice(2).map(() => true), false]);
      expect((await readCredential(stores, row(0).key)).intent).toBeNull();
      expect((await readCredential(stores, row(1).key)).intent?.attempt_id).toBe('earlier');
      for (const { key } of rows.slice(2)) {
        expect((await readCredential(stores, key)).intent).toMatchObject({ attempt_id: `of-${key.name}`, boot_id: 1n });
      }
    });

    it('say of whoever presents over an open intent that the outcome is unknown, and of nobody else', async () => {
      await stores.credentials.claimIntent(claimOf(row(0), 'lost'));
      const over = claimOf(row(0), 'again', { expected_attempt_id: 'lost' });
      const claims = [over, claimOf(row(1), 'first')].map((claim) => stores.credentials.claimIntent(claim));
      expect(await Promise.all(claims)).toEqual([true, true]);
      expect(await readCredential(stores, row(0).key)).toMatchObject({
        ambiguous: true,
        intent: { attempt_id: 'again' },
      });
      expect((await readCredential(stores, row(1).key)).ambiguous).toBe(false);
    });
  });

  it('reads each connection as it is after the writes before, whoever reads beside', async () => {
    const reads = await Promise.all(
      rows.slice(0, 8).map(async ({ key, generation }, index) => {
        if (index % 2 === 0) await refresh(row(index));
        const [credential, view, connection] = await Promise.all([
          stores.credentials.read(key),
          stores.credentials.readForAttempt(key),
          stores.connections.read(key),
        ]);
        expect([credential?.key, view?.credential.key, connection?.key]).toEqual([key, key, key]);
        return credential?.generation === generation;
      }),
    );
    expect(reads).toEqual([false, true, false, true, false, true, false, true]);
    expect(await stores.connections.read(keyOf('nobody'))).toBeUndefined();
  });
}
