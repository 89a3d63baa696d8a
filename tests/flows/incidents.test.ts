import { expect, it, vi } from 'vitest';
import type { ConnectionKey } from '../../src/core/connection.ts';
import { readCredentials } from '../suites/store-fixture.ts';
import { answer, INVALID_GRANT } from '../support/ports.ts';
import { binding, describeFlow, MINUTE, NOON, type Process } from './world.ts';

const SECOND = 1_000;
const OPENED =
  'many connections fail at one authorization server: this is one incident; refused tokens are kept, and one connection asks at a time';
const CLOSED = 'the authorization server answers again: the incident is over, and what waited is spread out';
const key = (name: string): ConnectionKey => ({ kind: 'mcp', name });
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const at = (ms: number) => ({ schedule: { at: NOON + ms, reason: 'access_token_expiring' } });

describeFlow('an authorization server that refuses everybody for a while', (world) => {
  /** Families by name: `a0` of connection `a`, each due a second after the one before. */
  async function connectAll(names = NAMES): Promise<void> {
    for (const [index, name] of names.entries()) await world().connected(`${name}0`, key(name), at(index * SECOND));
  }
  const idle = (process: Process) => vi.waitFor(() => expect(process.door.inFlight).toBe(0), { timeout: 20_000 });
  async function turn(...processes: Process[]): Promise<number> {
    let all = 0;
    for (const process of processes) {
      const { started } = await process.keepalive.runOnce();
      await idle(process);
      all += started;
    }
    return all;
  }
  /** The loop of these processes runs for so long, in steps of five seconds, or of twenty where it takes minutes. */
  async function run(ms: number, ...processes: Process[]): Promise<void> {
    const step = ms > MINUTE ? 20 * SECOND : 5 * SECOND;
    for (let passed = 0; passed < ms; passed += step) {
      await turn(...processes);
      await world().pass(step);
    }
  }
  const refused: Set<string> | 'everybody' = 'everybody';
  /** Whom it refuses, by the first letter of the family. */
  function refuse(who: typeof refused | null): void {
    const { server } = world();
    const refresh = server.refresh.bind(server);
    const scripted = server as typeof server & { honest?: typeof refresh };
    const honest = scripted.honest ?? refresh;
    scripted.honest = honest;
    server.refresh = (client, request) => {
      const family = request.refresh_token.reveal().replace('refresh-', '').charAt(0);
      const no = who === 'everybody' || who?.has(family) === true;
      if (no) server.onRefresh(() => INVALID_GRANT);
      return honest(client, request);
    };
  }
  const states = async () => (await readCredentials(world().stores)).map(({ state }) => state);
  const held = async () =>
    (await readCredentials(world().stores)).filter(({ failure }) => failure?.held_since !== undefined).length;
  const logged = (message: string) => world().log.lines.filter((line) => line.message === message);
  const presented = () => world().server.presented.length;

  it('loses nobody: three of five refused are one incident, and all are renewed when it recovers', async () => {
    await connectAll();
    const process = await world().boot();
    refuse('everybody');
    await run(15 * SECOND, process);
    expect(await states()).toEqual(Array.from(NAMES, () => 'connected'));
    expect(await held()).toBeGreaterThanOrEqual(3);
    expect(logged(OPENED)).toMatchObject([{ level: 'warn', fields: { idp_host: 'idp.example' } }]);
    const list = await readCredentials(world().stores);
    expect(list.every(({ incident }) => incident !== null)).toBe(true);

    await run(10 * MINUTE, process);
    expect(await states()).not.toContain('revoked');
    refuse(null);
    await run(4 * MINUTE, process);
    expect(logged(CLOSED)).toHaveLength(1);
    for (const name of NAMES) {
      expect(await world().credential(key(name))).toMatchObject({ state: 'connected', failure: null, incident: null });
      expect(await world().accessToken(key(name))).toBe(`access-${name}0t1`);
    }
    const marks = (await Promise.all(NAMES.map((name) => world().events(key(name)))))
      .flat()
      .map(({ detail }) => detail.incident);
    expect(marks.filter((mark) => mark === 'opened')).toHaveLength(1);
    expect(marks.filter((mark) => mark === 'closed')).toHaveLength(1);
    expect(logged('token row deleted: refresh rejected by IdP')).toEqual([]);
  });

  it('says in the history that a refused token was kept', async () => {
    await connectAll();
    const process = await world().boot();
    refuse('everybody');
    await turn(process);
    const [event] = await world().events(key('a'));
    expect(event).toMatchObject({
      event_type: 'refresh_failed_transient',
      idp_host: 'idp.example',
      detail: { held: true, idp_error_code: 'invalid_grant', error_class: 'structured', http_status: 400 },
    });
    expect(event?.detail.incident).toBeUndefined();
    const { failure, next_refresh_at } = await world().credential(key('a'));
    expect(failure).toMatchObject({ held_since: NOON, idp_error_code: 'invalid_grant' });
    expect(next_refresh_at).toBe(NOON + 5 * SECOND);
    // Another was asked at once, ahead of its time.
    expect(await world().credential(key('b'))).toMatchObject({
      next_refresh_at: NOON,
      next_refresh_reason: 'issuer_check',
    });
  });

  it('is asked with one connection a minute while it lasts, by one of two replicas', async () => {
    await connectAll();
    const a = await world().boot({ replica_id: 'replica-a' });
    const b = await world().boot({ replica_id: 'replica-b' });
    refuse('everybody');
    await run(20 * SECOND, a, b);
    const before = presented();
    await run(10 * MINUTE, a, b);
    expect(presented() - before).toBeLessThanOrEqual(10);
    expect(presented() - before).toBeGreaterThanOrEqual(8);
    expect(logged(OPENED)).toHaveLength(1);
    // Each of the five is asked in its turn: one that is really dead does not stand before the others.
    const asked = world()
      .server.presented.slice(before)
      .map(({ token }) => token);
    expect(new Set(asked).size).toBe(NAMES.length);
  });

  it('is known to be ill after a restart, too', async () => {
    await connectAll();
    const first = await world().boot();
    refuse('everybody');
    await run(20 * SECOND, first);
    first.kill();
    const second = await world().boot();
    const before = presented();
    expect(await turn(second)).toBe(0);
    await world().pass(MINUTE);
    expect(await turn(second)).toBe(1);
    expect(presented()).toBe(before + 1);
    expect(await states()).not.toContain('revoked');
  });

  it('is believed when it refuses for more than half an hour, loudly and with the true reason', async () => {
    await connectAll();
    const process = await world().boot();
    refuse('everybody');
    await run(29 * MINUTE, process);
    expect(await states()).not.toContain('revoked');
    await run(40 * MINUTE, process);
    expect(await states()).toEqual(Array.from(NAMES, () => 'revoked'));
    for (const name of NAMES) {
      expect((await world().eventTypes(key(name))).slice(-2)).toEqual([
        'refresh_failed_revoked',
        'token_deleted_revoked',
      ]);
      expect((await world().credential(key(name))).revocation).toMatchObject({
        reason: 'invalid_grant',
        decided_by: 'idp',
        idp_host: 'idp.example',
      });
    }
    expect(logged('token row deleted: refresh rejected by IdP')).toHaveLength(5);
    // Nobody fails there any more, so nothing is open.
    await run(3 * MINUTE, process);
    expect(await world().stores.incidents.claimProbes(NOON + 10 * 60 * MINUTE, NOON)).toEqual({
      probes: [],
      ended: [],
    });
  });

  it('spreads the renewals when it recovers', async () => {
    await connectAll();
    const process = await world().boot();
    refuse('everybody');
    await run(20 * SECOND, process);
    refuse(null);
    await world().pass(MINUTE);
    await turn(process);
    const waiting = (await readCredentials(world().stores)).filter(({ failure }) => failure !== null);
    const now = world().clock.now();
    for (const { next_refresh_at } of waiting) {
      expect(next_refresh_at).toBeGreaterThanOrEqual(now);
      expect(next_refresh_at).toBeLessThanOrEqual(now + NAMES.length * 600);
    }
  });
});

describeFlow('one refusal among connections that are well', (world) => {
  const refuseOne = (dead: string) => {
    const { server } = world();
    const refresh = server.refresh.bind(server);
    server.refresh = (client, request) => {
      if (request.refresh_token.reveal().startsWith(`refresh-${dead}`)) server.onRefresh(() => INVALID_GRANT);
      return refresh(client, request);
    };
  };
  const run = async (process: Process, times: number) => {
    for (let count = 0; count < times; count += 1) {
      // As the loop does, which every change of a token wakes: who was asked meanwhile is refreshed before time passes.
      for (let started = 1; started > 0; ) {
        ({ started } = await process.keepalive.runOnce());
        await vi.waitFor(() => expect(process.door.inFlight).toBe(0), { timeout: 20_000 });
      }
      await world().pass(5 * SECOND);
    }
  };

  it('is believed within seconds, as soon as another connection was renewed', async () => {
    for (const name of NAMES) await world().connected(`${name}0`, key(name), name === 'a' ? at(0) : {});
    const process = await world().boot();
    refuseOne('a');
    await run(process, 3);
    expect(await world().credential(key('a'))).toMatchObject({
      state: 'revoked',
      revocation: { reason: 'invalid_grant', decided_by: 'idp' },
    });
    expect(world().messages('warn')).toEqual([]);
    // One other was asked, and no more.
    expect(world().server.presented.map(({ token }) => token)).toEqual([
      'refresh-a0t0',
      'refresh-b0t0',
      'refresh-a0t0',
    ]);
    const [event] = await world().events(key('b'));
    expect(event).toMatchObject({ event_type: 'refresh_succeeded', detail: { reason: 'issuer_check' } });
  });

  it('is believed at once where there are not three connections', async () => {
    for (const name of ['a', 'b']) await world().connected(`${name}0`, key(name), at(0));
    const other = { ...binding, token_endpoint: 'https://other.example/token' };
    await world().connected('x0', key('x'), { binding: other });
    const process = await world().boot();
    refuseOne('a');
    await run(process, 1);
    expect((await world().credential(key('a'))).state).toBe('revoked');
    expect(world().server.presented).toHaveLength(2);
  });

  it('keeps the reason of an attempt whose outcome was lost (rule 17)', async () => {
    for (const name of NAMES) await world().connected(`${name}0`, key(name), name === 'a' ? at(0) : {});
    const process = await world().boot();
    world().server.onRefresh(() => ({ type: 'unknown', error_class: 'reset' }));
    await process.refresh({ key: key('a') });
    await world().pass(60 * MINUTE);
    refuseOne('a');
    await run(process, 30);
    const { revocation } = await world().credential(key('a'));
    expect(revocation).toMatchObject({ reason: 'rotation_outcome_lost' });
  });

  it('does not stop a person: disconnecting and connecting anew work at once, and end what was held', async () => {
    for (const name of NAMES) await world().connected(`${name}0`, key(name), at(0));
    const process = await world().boot();
    for (const name of NAMES) refuseOne(name);
    await run(process, 4);
    expect((await world().credential(key('a'))).failure).toHaveProperty('held_since');
    await process.disconnect(key('a'));
    expect(await world().credential(key('a'))).toMatchObject({
      state: 'revoked',
      failure: null,
      revocation: { decided_by: 'person' },
    });
    await world().connected('z0', key('b'));
    expect(await world().credential(key('b'))).toMatchObject({ state: 'connected', failure: null });
  });

  it('keeps traffic from asking again for one that is held', async () => {
    for (const name of NAMES) await world().connected(`${name}0`, key(name), at(0));
    const process = await world().boot();
    for (const name of NAMES) refuseOne(name);
    await run(process, 4);
    await world().pass(2 * 60 * MINUTE);
    const before = world().server.presented.length;
    await expect(process.accessToken(key('a'))).rejects.toThrow(
      'mcp/a: idp.example refuses its refresh token (invalid_grant); the token is kept until that is confirmed',
    );
    expect(world().server.presented).toHaveLength(before);
    // The operator's button insists.
    await process.refresh({ key: key('a') });
    expect(world().server.presented).toHaveLength(before + 1);
  });
});

describeFlow('an outage of one authorization server', (world) => {
  it('is one incident, too: it is asked once a minute, and other servers are served meanwhile', async () => {
    for (const name of NAMES) await world().connected(`${name}0`, key(name), at(0));
    const other = { ...binding, token_endpoint: 'https://other.example/token' };
    await world().connected('x0', key('x'), { binding: other, ...at(5 * MINUTE) });
    const process = await world().boot();
    const { server } = world();
    const refresh = server.refresh.bind(server);
    let down = true;
    server.refresh = (client, request) => {
      const ill = down && client.binding.token_endpoint.includes('idp.example');
      if (ill) server.onRefresh(() => answer({ error: 'server_error' }, { status: 500 }));
      return refresh(client, request);
    };
    const run = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 5 * SECOND) {
        await process.keepalive.runOnce();
        await vi.waitFor(() => expect(process.door.inFlight).toBe(0), { timeout: 20_000 });
        await world().pass(5 * SECOND);
      }
    };
    await run(20 * SECOND);
    const before = server.presented.length;
    await run(10 * MINUTE);
    expect(await world().accessToken(key('x'))).toBe('access-x0t1');
    expect(server.presented.length - before).toBeLessThanOrEqual(11);
    down = false;
    await run(2 * MINUTE);
    for (const name of NAMES) expect((await world().credential(key(name))).failure).toBeNull();
    expect(world().messages('warn')).toEqual([OPENED]);
    expect(world().messages('info')).toContain(CLOSED);
  });
});
