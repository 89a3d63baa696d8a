import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import { isAppError } from '../../src/core/errors.ts';
import type { Fault, Rotation } from './plan.ts';
import type { Flows } from './replica.ts';
import { DiskFault, KEYS, type Life, type World } from './world.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
const ACTOR = 'ada@example.com';
const BROWSER = 'the-browser';

/** What an operator who knows the server says of it (rules 14, 15c). */
const PROFILES: Record<Rotation, { rotation: string; honours_previous: boolean }> = {
  static: { rotation: 'none', honours_previous: false },
  grace: { rotation: 'rotating', honours_previous: true },
  strict: { rotation: 'one_time', honours_previous: false },
  once: { rotation: 'one_time', honours_previous: false },
  firstuse: { rotation: 'rotating', honours_previous: false },
};

export type Actors = ReturnType<typeof createActors>;

/** Persons and agents. What a dead process owes them never comes; what it refuses, they bear. */
export function createActors(world: World) {
  const { dice, scheduler } = world;
  const pause = (ms: number, label = 'somebody waits') =>
    new Promise<void>((resolve) => void scheduler.after(ms, label, resolve));

  /** Some process that runs; a person tries again until there is one. */
  async function someone(): Promise<{ life: Life; flows: Flows }> {
    for (;;) {
      const running = world.hosts.flatMap(({ life }) => (life?.flows ? [{ life, flows: life.flows }] : []));
      if (running.length > 0) return dice.pick(running);
      await pause(5 * SECOND);
    }
  }

  /** True: it was done. A flow refuses by an AppError and lets a disk's fault through; anything else is a fault of ours. */
  async function attempt(what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (isAppError(error)) world.tell(`${what}: refused, ${error.code}`);
      else if (error instanceof DiskFault) world.tell(`${what}: ${error.message}`);
      else world.violate(`${what} failed with ${String(error)}`);
      return false;
    }
  }

  const config = () => ({
    endpoint: 'https://mcp.example/mcp',
    auth_mode: 'oauth',
    oauth2_client_id: 'client',
    oauth2_client_secret: 'secret',
    ...(world.plan.told ? { oauth2_profile: PROFILES[world.plan.rotation] } : {}),
    oauth2_refresh_canary: world.plan.canary,
  });

  async function create(key: ConnectionKey): Promise<boolean> {
    const { life, flows } = await someone();
    world.tell(`${ACTOR} creates ${key.name} on ${life.name}`);
    return attempt('create', () => flows.connections.put(key, { config: config() }, ACTOR));
  }

  async function connect(key: ConnectionKey): Promise<boolean> {
    const started = await someone();
    world.tell(`${ACTOR} connects ${key.name} on ${started.life.name}`);
    let done = false;
    await attempt('connect', async () => {
      const { state } = await started.flows.authorize.start(key, { actor: ACTOR });
      const bound = await someone();
      await bound.flows.authorize.bind(state, BROWSER);
      await pause(dice.between(SECOND, world.turbulent ? 90 * SECOND : 5 * SECOND));
      const { life, flows } = await someone();
      world.tell(`the browser comes back to ${life.name}`);
      const params = new URLSearchParams({ state, code: `code-${state}` });
      const result = await flows.authorize.callback(params, BROWSER);
      world.tell(`connect of ${key.name}: ${result.ok ? 'done' : result.code}`);
      done = result.ok;
    });
    return done;
  }

  async function disconnect(key: ConnectionKey): Promise<void> {
    const { life, flows } = await someone();
    world.tell(`${ACTOR} disconnects ${key.name} on ${life.name}`);
    await attempt('disconnect', () => flows.disconnect.disconnect(key, ACTOR));
    if (dice.chance(0.6)) await pause(dice.between(0, 3 * MINUTE)).then(() => connect(key));
  }

  async function remove(key: ConnectionKey): Promise<void> {
    const { life, flows } = await someone();
    world.tell(`${ACTOR} deletes ${key.name} on ${life.name}`);
    await attempt('delete', () => flows.connections.delete(key, ACTOR));
    await pause(dice.pick([0, dice.between(0, 2 * MINUTE)]));
    if (!(await create(key))) return;
    if (dice.chance(0.8)) await connect(key);
  }

  /** An agent's call: with a token from memory or the door, and once more where the upstream refuses that. */
  async function call(key: ConnectionKey): Promise<void> {
    const { flows } = await someone();
    const gone = new AbortController();
    if (dice.chance(0.2)) void pause(dice.between(0, 40 * SECOND), 'an agent gives up').then(() => gone.abort());
    await attempt('a call', async () => {
      const token = await flows.accessToken(key, { signal: gone.signal });
      await pause(dice.between(5, 200), 'a call arrives upstream');
      if (world.provider.use(token.reveal(), scheduler.now)) return;
      world.tell(`the upstream refuses ${token.reveal()}`);
      const next = await flows.accessToken(key, { rejected: token, signal: gone.signal });
      await pause(dice.between(5, 200), 'a call arrives upstream');
      world.provider.use(next.reveal(), scheduler.now);
    });
  }

  async function press(key: ConnectionKey): Promise<void> {
    const { flows } = await someone();
    await attempt('the button', () => flows.door.refresh({ key, reason: 'operator', actor: ACTOR }));
  }

  function withdraw(key: ConnectionKey): void {
    const { ledger, memory, provider } = world;
    const token = ledger.refreshOf(memory.tables.credentials.get(connectionLabel(key)));
    const grant = token === null ? undefined : provider.byRefresh(token)?.grant;
    if (!grant) return;
    world.tell(`the user of ${grant.id} WITHDRAWS the grant`);
    provider.withdraw(grant);
  }

  /** At some moments of the turbulent time. */
  function sometimes(counts: readonly number[], work: (key: ConnectionKey) => unknown): void {
    const keys = KEYS.slice(0, world.plan.connections);
    for (let left = dice.pick(counts); left > 0; left -= 1) {
      const key = dice.pick(keys);
      scheduler.after(dice.between(0, world.plan.turbulent), 'somebody acts', () => void work(key));
    }
  }

  return {
    create,
    connect,
    call,
    /** Everything that persons, agents and the provider's people will do while faults happen. */
    plan() {
      const { faults, turbulent, access_lifetime } = world.plan;
      const on = (fault: Fault, counts: readonly number[], work: (key: ConnectionKey) => unknown) => {
        if (faults.has(fault)) sometimes(counts, work);
      };
      on('connect', [1, 2, 4], connect);
      on('disconnect', [1, 2], disconnect);
      on('delete', [1, 2], remove);
      on('grant', [1], withdraw);
      on('provider', [1, 2], () => {
        const lasts = dice.pick([10 * SECOND, 2 * MINUTE, 15 * MINUTE]);
        world.tell(`the PROVIDER IS DOWN for ${lasts} ms`);
        world.provider_down_until = scheduler.now + lasts;
      });
      on('refusal', [1], () => {
        const lasts = dice.pick([30 * SECOND, 5 * MINUTE, 20 * MINUTE]);
        world.tell(`the PROVIDER REFUSES EVERYBODY for ${lasts} ms`);
        world.provider.refuseUntil(scheduler.now + lasts);
      });
      const calls = Math.ceil((2 * turbulent) / access_lifetime);
      sometimes([0, calls, calls], (key) => {
        const at_once = dice.pick([1, 1, 3]);
        for (let left = at_once; left > 0; left -= 1) void call(key);
      });
      sometimes([0, 1, 3], press);
    },
  };
}
