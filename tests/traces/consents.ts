import { expect, vi } from 'vitest';
import { never, type Process, type World } from '../flows/world.ts';
import * as fixture from '../suites/store-fixture.ts';
import { type Deferred, deferred } from '../support/ports.ts';
import { escrowed, type Run } from './stage.ts';

const ADA = 'ada@example.com';
const { KEY } = fixture;

export const CLIENT = { oauth2_client_id: 'client', oauth2_client_secret: 'client-secret' };

/** Clicks Connect, and comes as far as the provider's page; the state of the consent. */
export async function begun({ authorize }: Process): Promise<string> {
  const { state } = await authorize.start(KEY, { actor: ADA });
  await authorize.bind(state, 'browser');
  return state;
}

/** The provider sends the browser back. */
export function finished({ authorize }: Process, state: string) {
  return authorize.callback(new URLSearchParams({ state, code: 'the-code' }), 'browser');
}

/** A consent whose code the provider has exchanged, and whose answer comes when the gate opens. */
async function exchanging(world: World, process: Process): Promise<{ gate: Deferred<void>; result: Promise<unknown> }> {
  const gate = deferred();
  world.server.onExchange(async (honest) => {
    const reply = honest();
    await gate.promise;
    return reply;
  });
  const before = world.server.exchanged.length;
  const result = finished(process, await begun(process));
  await vi.waitFor(() => expect(world.server.exchanged).toHaveLength(before + 1));
  return { gate, result };
}

/** A Connect whose process ended when its reply was on the disk. */
async function crashed(world: World): Promise<void> {
  await fixture.create(world.stores, KEY, CLIENT);
  const process = await world.boot({ credentials: { settle: never } });
  void finished(process, await begun(process));
  await escrowed(world);
  process.kill();
}

async function recreated({ stores, credential }: World): Promise<void> {
  const { incarnation } = await credential();
  await stores.connections.delete(KEY, incarnation, () => []);
  await fixture.create(stores, KEY, CLIENT);
}

/** Connects that meet Disconnect, Delete and each other. */
export const CONSENTS = {
  async '12'(world) {
    await world.connected('f0', KEY, {}, CLIENT);
    const process = await world.boot();
    const { gate, result } = await exchanging(world, process);
    await process.disconnect();
    gate.resolve();
    await result;
    expect(await world.credential(), 'I3: it stays disconnected').toMatchObject({ state: 'revoked' });
    expect(await world.accessToken()).toBeUndefined();
    expect(await result).toMatchObject({ ok: false, code: 'superseded' });
    expect(world.server.revoked.slice(2), 'the token of the late consent is ended').toEqual([
      'refresh-c1t0',
      'access-c1t0',
    ]);
  },

  async '12b'(world) {
    await fixture.create(world.stores, KEY, CLIENT);
    const process = await world.boot();
    const { gate, result } = await exchanging(world, process);
    await recreated(world);
    gate.resolve();
    await result;
    expect(await world.credential(), 'I3: nothing lands in it').toMatchObject({
      state: 'never_connected',
      token: null,
    });
    expect(await result).toMatchObject({ ok: false, code: 'superseded' });
  },

  async '13'(world) {
    await crashed(world);
    const next = await world.boot();
    const { gate, result } = await exchanging(world, next);
    await next.keeper.recover();
    expect(await world.accessToken()).toBe('access-c1t0');
    gate.resolve();
    await result;
    expect(await world.accessToken(), 'I1: the later consent is stored').toBe('access-c2t0');
    expect(await result).toMatchObject({ ok: true });
  },

  async '13b'(world) {
    await crashed(world);
    const next = await world.boot();
    expect(await finished(next, await begun(next))).toMatchObject({ ok: true });
    await next.keeper.recover();
    expect(await world.accessToken(), 'I1: the later consent stays').toBe('access-c2t0');
    expect(world.server.revoked, 'I1: the earlier one is not revoked: both may be one grant').toEqual([]);
    expect(world.escrow.entries.size).toBe(0);
  },
} satisfies Record<string, Run>;
