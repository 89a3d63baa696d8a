import { expect } from 'vitest';
import { until } from '../support/platform.ts';
import type { ChaosCase, Run } from './chaos-case.ts';
import { CLAIM, NEW_TOKENS, type Statement } from './database-proxy.ts';
import { answered, arrived, dropHeld, escrowed, killAndLook, killAtFirstByte } from './steps.ts';

/** kill -9 while a statement, or its answer, is held; what the server has not seen by then it never sees. */
async function killAt({ replica }: Run, statement: Statement, place: 'request' | 'reply'): Promise<void> {
  const held = replica.database.trap(statement, place);
  await arrived(held);
  await replica.platform.kill9();
  replica.database.cut();
  held.release();
  replica.database.restore();
  await replica.platform.restart();
}

const MOST_STATEMENTS = 25;

/** One process, killed with no chance to clean up, and started again. */
export const KILLS: readonly ChaosCase[] = [
  {
    name: 'kill -9 before send, the intent not yet stored',
    ends: ['saved'],
    repeats: 0,
    act: (run) => killAt(run, CLAIM, 'request'),
  },
  {
    name: 'kill -9 before send, the intent stored',
    ends: ['saved'],
    repeats: 0,
    act: (run) => killAt(run, CLAIM, 'reply'),
  },
  {
    name: 'kill -9 after send, before the provider processed it',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('request');
      await arrived(held);
      await run.replica.platform.kill9();
      await dropHeld(run, held);
      await run.replica.platform.restart();
    },
  },
  {
    name: 'kill -9 after send, the provider rotated, reply on the way',
    ends: ['announced'],
    repeats: 1,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      await run.replica.platform.kill9();
      await dropHeld(run, held);
      await run.replica.platform.restart();
    },
  },
  {
    name: 'kill -9 after reply, before escrow',
    ends: ['announced'],
    repeats: 1,
    async act(run) {
      const { replica, stage } = run;
      const held = stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      // A stopped process receives, and does nothing with it.
      replica.platform.program.kill('SIGSTOP');
      held.release();
      await until(() => expect(stage.endpoint.presentations.at(-1)?.delivered).toBe(true));
      await killAndLook(run);
      await replica.platform.restart();
    },
  },
  {
    name: 'kill -9 at the first byte of the escrow file',
    ends: ['saved', 'announced'],
    repeats: 1,
    async act(run) {
      await killAtFirstByte(run);
      await run.replica.platform.restart();
    },
  },
  {
    name: 'kill -9 after escrow, before commit',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.replica.database.trap(NEW_TOKENS, 'request');
      await arrived(held);
      expect(await escrowed(run.replica)).toBe(1);
      await run.replica.platform.kill9();
      await run.replica.platform.restart();
    },
  },
  {
    name: 'kill -9 after commit, before its acknowledgement',
    ends: ['saved'],
    repeats: 0,
    act: (run) => killAt(run, NEW_TOKENS, 'reply'),
  },
  {
    name: 'kill -9 after commit',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const stored = async () => (await run.replica.platform.history(run.connected.name, 'refresh_succeeded')).length;
      const before = await stored();
      await until(async () => expect(await stored()).toBeGreaterThan(before));
      await run.replica.platform.kill9();
      await run.replica.platform.restart();
    },
  },
  {
    name: 'kill -9 at a random statement',
    ends: ['saved', 'announced'],
    repeats: 1,
    async act(run) {
      let left = Math.floor(Math.random() * MOST_STATEMENTS);
      const held = run.replica.database.trap(() => left-- <= 0, 'request');
      await arrived(held);
      await killAndLook(run);
      await run.replica.platform.restart();
    },
  },
];

async function stopping({ replica }: Run): Promise<void> {
  replica.platform.program.kill('SIGTERM');
  await until(async () => {
    const open = await fetch(replica.platform.url, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    expect(open).toBe(false);
  });
}

/** A graceful stop in mid-flight loses nothing (protocol rule 21). */
export const STOPS: readonly ChaosCase[] = [
  {
    name: 'SIGTERM while the provider works on a refresh',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('request');
      await arrived(held);
      await stopping(run);
      held.release();
      expect(await run.replica.platform.program.ended).toBe(0);
      expect(await escrowed(run.replica)).toBe(0);
      await run.replica.platform.restart();
    },
  },
  {
    name: 'SIGTERM while the reply is on the way',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      await stopping(run);
      held.release();
      expect(await run.replica.platform.program.ended).toBe(0);
      await run.replica.platform.restart();
    },
  },
  {
    name: 'SIGTERM with a reply on the way and no database',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { replica, stage } = run;
      const held = stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      replica.database.cut();
      await stopping(run);
      held.release();
      await replica.platform.program.ended;
      expect(answered(run)).toBeGreaterThan(0);
      expect(await escrowed(replica)).toBe(1);
      replica.database.restore();
      await replica.platform.restart();
    },
  },
];
