import { watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { until } from '../support/platform.ts';
import type { Run } from './chaos-case.ts';
import { CLAIM, type Trap } from './database-proxy.ts';
import type { Replica, Stage } from './stage.ts';

export const arrived = (held: { arrived(): boolean }) => until(() => expect(held.arrived()).toBe(true));

export const escrowOf = ({ platform }: Replica) => join(platform.home.dataDir, 'escrow');

/** The replies that lie complete in a replica's escrow: an envelope is JSON from its first to its last byte. */
export async function escrowed(replica: Replica): Promise<number> {
  let complete = 0;
  for (const file of await readdir(escrowOf(replica))) {
    const content = await readFile(join(escrowOf(replica), file), 'utf8').catch(() => '');
    try {
      JSON.parse(content);
      complete += 1;
    } catch {
      // Half a file holds nothing.
    }
  }
  return complete;
}

/** kill -9; what is then not in the escrow had not been written. */
export async function killAndLook({ replica, neverEscrowed }: Run): Promise<void> {
  await replica.platform.kill9();
  if ((await escrowed(replica)) === 0) neverEscrowed();
}

/** kill -9 at the first sign of a file in the escrow, whole or not. */
export async function killAtFirstByte(run: Run): Promise<void> {
  const watching = watch(escrowOf(run.replica), () => run.replica.platform.program.kill('SIGKILL'));
  await run.replica.platform.program.ended;
  watching.close();
  if ((await escrowed(run.replica)) === 0) run.neverEscrowed();
}

/** A held request whose sender has ended goes nowhere, once the endpoint knows it. */
export async function dropHeld({ stage }: Pick<Run, 'stage'>, held: Trap): Promise<void> {
  await until(() => expect(stage.endpoint.open()).toBe(0));
  held.release();
}

/** How many refreshes the provider has answered. */
export const answered = ({ stage, connected }: Run): number =>
  stage.endpoint.presentations.filter((one) => one.family === connected.family && one.successor !== null).length;

/** Whoever claimed last is on the way to the provider: each stage has one connection at a time. */
export function ownerOf({ replicas }: Stage): Replica {
  const [latest] = [...replicas].sort((a, b) => b.database.lastAt(CLAIM) - a.database.lastAt(CLAIM));
  if (!latest) throw new Error('a stage has a replica');
  return latest;
}

/** The access token that the connection has now is over, so that everybody has reason to want another. */
export async function accessTokenEnded({ connected }: Run, by: Replica): Promise<void> {
  await until(async () => {
    const { expires_at } = await by.platform.status(connected.name);
    expect(Date.parse(expires_at ?? '')).toBeLessThan(Date.now());
  });
}
