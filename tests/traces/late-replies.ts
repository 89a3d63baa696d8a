import { expect } from 'vitest';
import type { Settlement } from '../../src/core/credential.ts';
import { never, type World } from '../flows/world.ts';
import * as fixture from '../suites/store-fixture.ts';
import { type Deferred, deferred, INVALID_GRANT } from '../support/ports.ts';
import { escrowed, holdRefresh, type Run } from './stage.ts';

const { KEY } = fixture;

/** A refresh of `f0` that stands before its transaction until the gate opens. */
async function settling(world: World): Promise<{ gate: Deferred<void>; result: Promise<unknown> }> {
  const { stores } = world;
  await world.connected('f0');
  const reached = deferred();
  const gate = deferred();
  const process = await world.boot({
    credentials: {
      async settle(settlement: Settlement) {
        reached.resolve();
        await gate.promise;
        return stores.credentials.settle(settlement);
      },
    },
  });
  const result = process.refresh();
  await reached.promise;
  return { gate, result };
}

/** A refresh of `f0` whose process ended when the reply was on the disk. */
async function crashed(world: World): Promise<void> {
  await world.connected('f0');
  const process = await world.boot({ credentials: { settle: never } });
  void process.refresh();
  await escrowed(world);
  process.kill();
}

/** The name is deleted, made again and connected to another grant. */
async function reconnected(world: World): Promise<void> {
  const { incarnation } = await world.credential();
  await world.stores.connections.delete(KEY, incarnation, () => []);
  await world.connected('f1');
}

async function disconnected(world: World): Promise<void> {
  const { disconnect } = await world.boot({ replica_id: 'replica-b' });
  await disconnect();
}

const LATE = ['refresh-f0t1', 'access-f0t1'];

/** Answers that come after a person has acted. */
export const LATE_REPLIES = {
  async '8'(world) {
    const { gate, result } = await settling(world);
    await reconnected(world);
    gate.resolve();
    await result;
    expect(await world.accessToken(), 'I3: the new connection keeps its own token').toBe('access-f1t0');
    expect(world.server.revoked).toEqual([]);
  },

  async '9'(world) {
    await crashed(world);
    await reconnected(world);
    const next = await world.boot();
    await next.keeper.recover();
    expect(await world.accessToken(), 'I3: the new connection keeps its own token').toBe('access-f1t0');
    expect(world.escrow.entries.size).toBe(0);
  },

  async '10'(world) {
    world.server.onRefresh(() => INVALID_GRANT);
    const { gate, result } = await settling(world);
    await reconnected(world);
    gate.resolve();
    await result;
    expect(await world.accessToken(), 'I3: the new connection keeps its token').toBe('access-f1t0');
    expect(await world.eventTypes()).toEqual([]);
  },

  async '11'(world) {
    const { gate, result } = await settling(world);
    await disconnected(world);
    gate.resolve();
    await result;
    expect(await world.accessToken(), 'I3: the token stays deleted').toBeUndefined();
    expect(await result).toMatchObject({ type: 'revoked', revocation: { decided_by: 'person' } });
    expect(world.server.revoked.slice(2), 'the late token is ended').toEqual(LATE);
  },

  async '11b'(world) {
    await crashed(world);
    await disconnected(world);
    const next = await world.boot();
    await next.keeper.recover();
    expect(await world.accessToken(), 'I3: the token stays deleted').toBeUndefined();
    expect(await world.credential()).toMatchObject({ state: 'revoked', revocation: { decided_by: 'person' } });
    expect(world.server.revoked.slice(2), 'the late token is ended').toEqual(LATE);
    expect(world.escrow.entries.size).toBe(0);
  },

  async '16'(world) {
    await world.connected('f0');
    const gate = holdRefresh(world, 'before');
    const { refresh } = await world.boot();
    const result = refresh();
    await world.sent(1);
    await world.connected('g0');
    gate.resolve();
    expect(await result).toEqual({ type: 'current' });
    expect(world.server.revoked, 'I1: nothing of the old grant is revoked').toEqual([]);
    expect(await world.accessToken()).toBe('access-g0t0');
    expect(world.escrow.entries.size).toBe(0);
  },

  async '16b'(world) {
    const { stores, server } = world;
    await world.connected('f0');
    const gate = holdRefresh(world, 'before');
    const process = await world.boot();
    const result = process.refresh();
    await world.sent(1);
    const row = await world.credential();
    await fixture.settle(stores, fixture.at(row), fixture.disconnectedChange);
    await stores.consents.create('state', fixture.pendingConsent(row.incarnation));
    gate.resolve();
    await result;
    expect(server.revoked, 'I1: nothing is revoked while the consent is pending').toEqual([]);
    // Once it has come to nothing, the token is ended.
    await stores.consents.finish('state');
    await world.pass(2 * fixture.MINUTE);
    await process.revoker.runOnce();
    expect(server.revoked).toEqual(LATE);
  },

  async '21'(world) {
    world.server.onRefresh(() => INVALID_GRANT);
    const { gate, result } = await settling(world);
    await world.connected('g0');
    gate.resolve();
    await result;
    expect(await world.eventTypes(), 'I4: the history does not say revoked').toEqual([]);
    expect(await world.accessToken(), 'I4: nor does the row').toBe('access-g0t0');
    expect(await result).toEqual({ type: 'current' });
    expect(world.messages()).toEqual([]);
  },
} satisfies Record<string, Run>;
