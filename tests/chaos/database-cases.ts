import { rename, rm, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { until } from '../support/platform.ts';
import type { ChaosCase, Run } from './chaos-case.ts';
import { CLAIM, NEW_TOKENS, type Statement } from './database-proxy.ts';
import { answered, arrived, escrowed, escrowOf } from './steps.ts';

const NOTICED = /could not be stored yet|lock session was lost|could not read what is due/g;

/** Begins to look out for what a process says of an outage; the outage may end once it has noticed. */
function lookOut({ replica }: Run): () => Promise<void> {
  const count = () => replica.platform.output().match(NOTICED)?.length ?? 0;
  const before = count();
  return () => until(() => expect(count()).toBeGreaterThan(before));
}

async function cutAt(run: Run, statement: Statement, place: 'request' | 'reply'): Promise<void> {
  const { database } = run.replica;
  const held = database.trap(statement, place);
  await arrived(held);
  const noticed = lookOut(run);
  database.cut();
  held.release();
  await noticed();
  database.restore();
}

async function hangAt(run: Run, statement: Statement): Promise<void> {
  const { database, platform } = run.replica;
  const held = database.trap(statement, 'request');
  await arrived(held);
  database.hang();
  held.release();
  const calm = Date.now() + HANG_MS;
  await until(() => expect(Date.now()).toBeGreaterThan(calm));
  expect(platform.program.exitCode()).toBeUndefined();
  database.restore();
}

/** Longer than a claim may be old, shorter than the driver waits for an answer. */
const HANG_MS = 3_000;

/** The database goes away at each step of a refresh, and comes back; the process goes on. */
export const OUTAGES: readonly ChaosCase[] = [
  { name: 'database cut before the claim', ends: ['saved'], repeats: 0, act: (run) => cutAt(run, CLAIM, 'request') },
  {
    name: 'database cut after the claim, its answer lost',
    ends: ['saved'],
    repeats: 0,
    act: (run) => cutAt(run, CLAIM, 'reply'),
  },
  {
    name: 'database cut while the provider works',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      const noticed = lookOut(run);
      run.replica.database.cut();
      held.release();
      await until(async () => expect(await escrowed(run.replica)).toBe(1));
      await noticed();
      run.replica.database.restore();
    },
  },
  {
    name: 'database cut at the commit of the new token',
    ends: ['saved'],
    repeats: 0,
    act: (run) => cutAt(run, NEW_TOKENS, 'request'),
  },
  {
    name: 'database cut after the commit, its acknowledgement lost',
    ends: ['saved'],
    repeats: 0,
    act: (run) => cutAt(run, NEW_TOKENS, 'reply'),
  },
  { name: 'database hangs at the claim', ends: ['saved'], repeats: 0, act: (run) => hangAt(run, CLAIM) },
  { name: 'database hangs at the commit', ends: ['saved'], repeats: 0, act: (run) => hangAt(run, NEW_TOKENS) },
  {
    name: 'database away and escrow not writable, the process lives (rule 12)',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const { replica, stage } = run;
      const folder = escrowOf(replica);
      const held = stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      replica.database.cut();
      await rename(folder, `${folder}-away`);
      await writeFile(folder, 'a file where the folder was');
      held.release();
      await until(() => expect(replica.platform.output()).toContain('could not be written to the escrow'));
      // Long enough that whoever forgot the reply would want to present the old token again.
      await until(() => expect(answered(run)).toBeGreaterThan(0));
      await rm(folder);
      await rename(`${folder}-away`, folder);
      replica.database.restore();
    },
  },
];

/** The same with the server itself: ended in the midst of its work, and started again. */
export function crashes(server: { crash(): Promise<void>; start(): Promise<void> }): readonly ChaosCase[] {
  const crashAt = async (run: Run, statement: Statement, place: 'request' | 'reply') => {
    const held = run.replica.database.trap(statement, place);
    await arrived(held);
    const noticed = lookOut(run);
    await server.crash();
    held.release();
    await noticed();
    await server.start();
  };
  return [
    {
      name: 'PostgreSQL ended at the claim',
      ends: ['saved'],
      repeats: 0,
      act: (run) => crashAt(run, CLAIM, 'reply'),
    },
    {
      name: 'PostgreSQL ended while the provider works',
      ends: ['saved'],
      repeats: 0,
      async act(run) {
        const held = run.stage.endpoint.holdNextRefresh('reply');
        await arrived(held);
        const noticed = lookOut(run);
        await server.crash();
        held.release();
        await until(async () => expect(await escrowed(run.replica)).toBe(1));
        await noticed();
        await server.start();
      },
    },
    {
      name: 'PostgreSQL ended at the commit',
      ends: ['saved'],
      repeats: 0,
      act: (run) => crashAt(run, NEW_TOKENS, 'request'),
    },
    {
      name: 'PostgreSQL ended after the commit',
      ends: ['saved'],
      repeats: 0,
      act: (run) => crashAt(run, NEW_TOKENS, 'reply'),
    },
    {
      name: 'PostgreSQL away for longer than an access token lives',
      ends: ['saved'],
      repeats: 0,
      async act(run) {
        const { expires_at } = await run.replica.platform.status(run.connected.name);
        await server.crash();
        await until(() => expect(Date.now()).toBeGreaterThan(Date.parse(expires_at ?? '')));
        await server.start();
      },
    },
  ];
}
