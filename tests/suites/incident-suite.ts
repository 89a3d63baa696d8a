import { beforeEach, expect, it } from 'vitest';
import type { ConnectionKey } from '../../src/core/connection.ts';
import type { RefreshFailure } from '../../src/core/credential.ts';
import { spreadOver, spreadTo } from '../../src/core/issuer-incident.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Fixture } from './store-fixture.ts';
import {
  at,
  binding,
  createConnected,
  due,
  keptChange,
  MINUTE,
  NOON,
  readCredential,
  readCredentials,
  refreshedChange,
  revokedChange,
  settle,
  storesOf,
  tokens,
} from './store-fixture.ts';

const HOST = 'idp.example';
const keyOf = (name: string): ConnectionKey => ({ kind: 'mcp', name });
const INCIDENT = { opened_at: NOON, probe_at: NOON + MINUTE };

/** Many failures at one authorization server, as every replica and every start sees them. */
export function incidentSuite(opened: () => OpenDatabase): void {
  let stores: Fixture['stores'];
  beforeEach(() => {
    stores = storesOf(opened()).stores;
  });

  async function connectAll(...names: string[]): Promise<void> {
    for (const name of names) await createConnected(stores, keyOf(name));
  }
  async function fail(name: string, minutes: number, failure: Partial<RefreshFailure> = {}): Promise<void> {
    const credential = await readCredential(stores, keyOf(name));
    const moment = NOON + minutes * MINUTE;
    const count = (credential.failure?.count ?? 0) + 1;
    const change = keptChange(`${name}-${count}`, 'keep_open', { since: moment, last_at: moment, count, ...failure });
    const result = await settle(stores, at(credential), change, { key: keyOf(name) });
    expect(result.applied).toBe(true);
  }
  async function succeed(name: string, minutes: number): Promise<void> {
    const token_set = tokens(`${name}t1`, { received_at: NOON + minutes * MINUTE });
    const fence = at(await readCredential(stores, keyOf(name)));
    await settle(stores, fence, refreshedChange(`${name}t1`, { token_set }), { key: keyOf(name) });
  }
  const facts = (name: string, since = NOON) => stores.incidents.facts(keyOf(name), HOST, since);

  it('counts the other connections of a host that failed since its last success', async () => {
    await connectAll('a', 'b', 'c', 'd', 'e');
    expect(await facts('a')).toEqual({ incident: null, connections: 5, failing: 0, success_since_held: null });
    for (const name of ['a', 'b', 'c']) await fail(name, 1);
    expect(await facts('a')).toMatchObject({ failing: 2 });
    expect(await facts('d')).toMatchObject({ failing: 3 });
    await succeed('d', 2);
    expect(await facts('a')).toMatchObject({ failing: 0, success_since_held: null });
    await fail('b', 3);
    expect(await facts('a')).toMatchObject({ connections: 5, failing: 1 });
    await succeed('b', 4);
    expect(await facts('a')).toMatchObject({ failing: 0 });
  });

  it('knows the first success since a refusal is held', async () => {
    await connectAll('a', 'b', 'c', 'd');
    await succeed('b', 1);
    await fail('a', 2, { held_since: NOON + 2 * MINUTE });
    expect(await facts('a')).toMatchObject({ success_since_held: null });
    await succeed('c', 4);
    await succeed('d', 3);
    // An answer from before the refusal, that arrived after it, is no success since.
    const late = refreshedChange('lt1', {
      sent_at: NOON + MINUTE,
      token_set: tokens('lt1', { received_at: NOON + 5 * MINUTE }),
    });
    await settle(stores, at(await readCredential(stores, keyOf('b'))), late, { key: keyOf('b') });
    expect(await facts('a')).toMatchObject({ success_since_held: NOON + 3 * MINUTE });
    expect(await facts('b')).toMatchObject({ success_since_held: null });
  });

  it('counts what a server took away, and not what a person ended', async () => {
    await connectAll('a', 'b', 'c');
    const later = { occurred_at: NOON + MINUTE };
    const verdict = { ...revokedChange, revocation: { ...revokedChange.revocation, ...later } };
    await settle(stores, at(await readCredential(stores, keyOf('b'))), verdict, { key: keyOf('b') });
    const ours = { ...verdict, revocation: { ...verdict.revocation, decided_by: 'platform' as const } };
    await settle(stores, at(await readCredential(stores, keyOf('c'))), ours, { key: keyOf('c') });
    expect(await facts('a')).toMatchObject({ connections: 1, failing: 1 });
  });

  it('counts neither what is older, nor other hosts, nor what says nothing about the server', async () => {
    await connectAll('a', 'b', 'c', 'd');
    const other = { ...binding, token_endpoint: 'https://other.example/token' };
    await createConnected(stores, keyOf('elsewhere'), { binding: other });
    await fail('elsewhere', 1);
    await fail('b', 1);
    await fail('c', 1, { error_class: 'egress_refused' });
    await fail('d', 1, { error_class: 'ambiguous' });
    expect(await facts('a')).toMatchObject({ connections: 4, failing: 1 });
    expect(await facts('a', NOON + MINUTE)).toMatchObject({ failing: 0 });
    expect(await stores.incidents.facts(keyOf('a'), 'nobody.example', NOON)).toEqual({
      incident: null,
      connections: 0,
      failing: 0,
      success_since_held: null,
    });
  });

  it('is opened once, and seen on every connection of its host', async () => {
    await connectAll('a', 'b');
    const opening = [stores.incidents.open(HOST, INCIDENT), stores.incidents.open(HOST, INCIDENT)];
    expect((await Promise.all(opening)).filter(Boolean)).toHaveLength(1);
    expect((await readCredential(stores, keyOf('a'))).incident).toEqual(INCIDENT);
    expect((await readCredentials(stores)).map(({ incident }) => incident)).toEqual([INCIDENT, INCIDENT]);
    expect((await stores.credentials.readForAttempt(keyOf('b')))?.credential.incident).toEqual(INCIDENT);
    expect(await facts('a')).toMatchObject({ incident: INCIDENT });
    expect(await stores.incidents.close(HOST, NOON)).toMatchObject({ opened_at: NOON });
    expect(await stores.incidents.close(HOST, NOON)).toBeUndefined();
    expect((await readCredential(stores, keyOf('a'))).incident).toBeNull();
  });

  it('makes what fails there due by its first probe', async () => {
    await connectAll('a', 'b', 'c', 'well');
    await fail('a', 1);
    await fail('b', 1, { error_class: 'unavailable' });
    const probe_at = NOON + MINUTE / 2;
    await stores.incidents.open(HOST, { opened_at: NOON, probe_at });
    const dueAt = async (name: string) => (await readCredential(stores, keyOf(name))).next_refresh_at;
    expect(await dueAt('a')).toBe(probe_at);
    expect(await dueAt('b')).toBe(NOON + MINUTE);
    expect(await dueAt('well')).toBe(NOON + 50 * MINUTE);
  });

  it('remembers since when a refusal is held, until a token comes', async () => {
    await connectAll('a');
    await fail('a', 1, { held_since: NOON + MINUTE });
    await fail('a', 2, { held_since: NOON + MINUTE });
    expect((await readCredential(stores, keyOf('a'))).failure).toMatchObject({ held_since: NOON + MINUTE, count: 2 });
    await succeed('a', 3);
    expect((await readCredential(stores, keyOf('a'))).failure).toBeNull();
    await fail('a', 4);
    expect((await readCredential(stores, keyOf('a'))).failure).not.toHaveProperty('held_since');
  });

  it('leaves its host to one probe at a time, and other hosts alone', async () => {
    await connectAll('a', 'b');
    const other = { ...binding, token_endpoint: 'https://other.example/token' };
    await createConnected(stores, keyOf('elsewhere'), { binding: other });
    await fail('a', 1, { held_since: NOON + MINUTE });
    await stores.credentials.withdrawIntent(keyOf('a'), 'a-1');
    await stores.incidents.open(HOST, INCIDENT);
    const claim = async (more = {}) => {
      const claimed = await stores.credentials.claimDue(due(more));
      for (const one of claimed) await opened().locker.unlock(one.lock_key);
      return claimed.map(({ key }) => key.name).sort();
    };
    expect(await claim()).toEqual(['elsewhere']);
    expect(await claim({ probe_host: HOST })).toEqual(['a', 'b']);
    expect(await claim({ probe_host: HOST, limit: 1 })).toEqual(['a']);
    expect(await claim({ held_before: NOON + MINUTE - 1 })).toEqual(['elsewhere']);
    expect(await claim({ held_before: NOON + MINUTE })).toEqual(['a', 'elsewhere']);
  });

  it('lets one of two replicas ask, and the next only a while later', async () => {
    await connectAll('a');
    await fail('a', 1);
    await stores.incidents.open(HOST, INCIDENT);
    const ask = (minutes: number) =>
      stores.incidents.claimProbes(NOON + minutes * MINUTE, NOON + (minutes + 1) * MINUTE);
    expect(await ask(0)).toEqual({ probes: [], ended: [] });
    const both = await Promise.all([ask(1), ask(1)]);
    expect(both.flatMap(({ probes }) => probes)).toEqual([HOST]);
    expect(await ask(1)).toEqual({ probes: [], ended: [] });
    expect(await ask(2)).toEqual({ probes: [HOST], ended: [] });
    expect((await readCredential(stores, keyOf('a'))).incident).toEqual({ ...INCIDENT, probe_at: NOON + 3 * MINUTE });
  });

  it('ends by itself when nobody fails there any more, by a deletion say', async () => {
    await connectAll('a', 'b');
    await fail('a', 1);
    await stores.incidents.open(HOST, INCIDENT);
    const { incarnation } = await readCredential(stores, keyOf('a'));
    await stores.connections.delete(keyOf('a'), incarnation, () => []);
    expect(await stores.incidents.claimProbes(NOON + MINUTE, NOON + 2 * MINUTE)).toEqual({ probes: [], ended: [HOST] });
    expect((await readCredential(stores, keyOf('b'))).incident).toBeNull();
  });

  it('wakes the loop for its next probe, and not for what waits behind it', async () => {
    await connectAll('a');
    await fail('a', 1);
    await stores.incidents.open(HOST, { opened_at: NOON, probe_at: NOON + 3 * MINUTE });
    expect(await stores.credentials.nextDueAt()).toBe(NOON + 3 * MINUTE);
    await stores.incidents.close(HOST, NOON);
    expect(await stores.credentials.nextDueAt()).toBeLessThan(NOON + MINUTE);
  });

  it('spreads what waited when it ends, and moves nothing else', async () => {
    await connectAll('a', 'b', 'c', 'calm');
    const hurry = { token_set: tokens('h', { expires_at: NOON + 2_000 }) };
    await createConnected(stores, keyOf('hurry'), hurry);
    for (const name of ['a', 'b', 'c', 'hurry']) await fail(name, 1, { held_since: NOON + MINUTE });
    await stores.incidents.open(HOST, INCIDENT);
    const now = NOON + 1_000;
    const over = spreadOver(4);
    expect(await stores.incidents.close(HOST, now)).toEqual({ opened_at: NOON, connections: 4, spread_ms: over });
    for (const name of ['a', 'b', 'c', 'hurry']) {
      const { next_refresh_at, lock_key, token } = await readCredential(stores, keyOf(name));
      expect(next_refresh_at).toBe(spreadTo(lock_key, token?.expires_at ?? null, { now, over }));
    }
    expect((await readCredential(stores, keyOf('calm'))).next_refresh_at).toBe(NOON + 50 * MINUTE);
  });

  it('leaves those alone that the server told when to come back', async () => {
    await connectAll('a', 'b');
    await fail('a', 1, { error_class: 'rate_limited' });
    await fail('b', 1, { error_class: 'unavailable' });
    await stores.incidents.open(HOST, INCIDENT);
    expect(await stores.incidents.close(HOST, NOON)).toMatchObject({ connections: 0 });
    expect((await readCredential(stores, keyOf('a'))).next_refresh_at).toBe(NOON + MINUTE);
  });

  it('asks another connection of the host, the soonest of those that are well', async () => {
    await connectAll('a', 'failing', 'later');
    await fail('failing', 1);
    const soon = { schedule: { at: NOON + 30 * MINUTE, reason: 'access_token_expiring' } };
    await createConnected(stores, keyOf('soon'), soon);
    await createConnected(stores, keyOf('endless'), { schedule: null });
    expect(await stores.incidents.askAnother(keyOf('a'), HOST, NOON)).toEqual(keyOf('soon'));
    expect(await readCredential(stores, keyOf('soon'))).toMatchObject({
      next_refresh_at: NOON,
      next_refresh_reason: 'issuer_check',
    });
    // Asked already: it stays at one until it has answered.
    expect(await stores.incidents.askAnother(keyOf('a'), HOST, NOON + MINUTE)).toEqual(keyOf('soon'));
    expect((await readCredential(stores, keyOf('soon'))).next_refresh_at).toBe(NOON);
    await fail('soon', 1);
    expect(await stores.incidents.askAnother(keyOf('later'), HOST, NOON)).toEqual(keyOf('a'));
    await fail('a', 1);
    expect(await stores.incidents.askAnother(keyOf('later'), HOST, NOON)).toEqual(keyOf('endless'));
    await fail('endless', 1);
    expect(await stores.incidents.askAnother(keyOf('later'), HOST, NOON)).toBeUndefined();
  });
}
