import { expect } from 'vitest';
import { callEcho } from '../e2e/tools.ts';
import { until } from '../support/platform.ts';
import type { ChaosCase, Run } from './chaos-case.ts';
import { CLAIM, NEW_TOKENS, type Statement } from './database-proxy.ts';
import type { Replica } from './stage.ts';
import { accessTokenEnded, answered, arrived, dropHeld, escrowed, ownerOf } from './steps.ts';

const othersThan = ({ stage }: Run, owner: Replica): Replica[] => stage.replicas.filter((one) => one !== owner);

/** Waits for a statement at any of the replicas, where it is held; the others are not in its way. */
async function trapAnywhere({ stage }: Run, statement: Statement) {
  const traps = stage.replicas.map((replica) => ({
    replica,
    held: replica.database.trap(statement, 'request'),
  }));
  const owner = await until(() => {
    const hit = traps.find(({ held }) => held.arrived());
    if (!hit) throw new Error('nobody got there yet');
    return hit;
  });
  for (const { replica } of traps) if (replica !== owner.replica) replica.database.trap(() => false, 'request');
  return owner;
}

async function holdAt(run: Run, place: 'request' | 'reply') {
  const held = run.stage.endpoint.holdNextRefresh(place);
  await arrived(held);
  return { held, owner: ownerOf(run.stage) };
}

const CALLS = 35;
const BUTTONS = 15;

/** Tool calls and the operator's button, at every replica at once, while the loops go on. */
async function race({ stage, connected }: Run): Promise<void> {
  const params = { kind: 'mcp', name: connected.name };
  const at = (index: number) => stage.replicas[index % stage.replicas.length]!.platform;
  // As agents do: on a busy machine a claim may grow too old to be sent, and the caller is asked to try again.
  const calls = Array.from({ length: CALLS }, (_, index) =>
    until(async () => expect(await callEcho(at(index).mcpUrl, connected.name, 'raced')).toContain('raced')),
  );
  const buttons = Array.from({ length: BUTTONS }, (_, index) =>
    at(index)
      .api.reacquireOAuth({ params })
      .then(
        () => 'done',
        // 503 while another attempt is open is a right answer.
        (error: unknown) => String(error),
      ),
  );
  await Promise.all(calls);
  expect(await Promise.all(buttons)).toContain('done');
}

/** Three replicas on one database; what one of them was doing, the others finish, or leave alone while they must. */
export const REPLICAS: readonly ChaosCase[] = [
  { name: '50-way race on three replicas', ends: ['saved'], repeats: 0, act: race },
  {
    name: 'replica stopped in mid-flight, the others go on',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { held, owner } = await holdAt(run, 'reply');
      owner.platform.program.kill('SIGTERM');
      held.release();
      expect(await owner.platform.program.ended).toBe(0);
    },
  },
  {
    name: 'replica killed for good before the provider processed it',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { held, owner } = await holdAt(run, 'request');
      await owner.platform.kill9();
      await dropHeld(run, held);
    },
  },
  {
    name: 'replica killed for good after the provider rotated',
    ends: ['announced'],
    repeats: 1,
    async act(run) {
      const { held, owner } = await holdAt(run, 'reply');
      await owner.platform.kill9();
      await dropHeld(run, held);
    },
  },
  {
    name: 'replica killed after escrow, and started again',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { replica } = await trapAnywhere(run, NEW_TOKENS);
      await replica.platform.kill9();
      await accessTokenEnded(run, othersThan(run, replica)[0]!);
      await replica.platform.restart();
    },
  },
  {
    name: 'replica cut off from the database before its claim',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const before = answered(run);
      const { replica, held } = await trapAnywhere(run, CLAIM);
      replica.database.cut();
      held.release();
      await until(() => expect(answered(run)).toBeGreaterThan(before));
      replica.database.restore();
    },
  },
  {
    name: 'replica cut off from the database in mid-flight',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { held, owner } = await holdAt(run, 'reply');
      owner.database.cut();
      held.release();
      await until(async () => expect(await escrowed(owner)).toBe(1));
      await accessTokenEnded(run, othersThan(run, owner)[0]!);
      owner.database.restore();
    },
  },
  {
    name: 'lock session lost in mid-flight',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { held, owner } = await holdAt(run, 'request');
      const losses = () => owner.platform.output().split('the lock session is back').length;
      const before = losses();
      owner.database.cut();
      owner.database.restore();
      await until(() => expect(losses()).toBeGreaterThan(before));
      held.release();
    },
  },
];
