import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { Process, World } from '../flows/world.ts';
import { type Deferred, deferred } from '../support/ports.ts';

/** Plays one trace in a fresh world. What decides it is asserted under the name of its invariant. */
export type Run = (world: World) => Promise<void>;

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export const down = (): Promise<never> =>
  Promise.reject(new AppError('database_unavailable', 'The database cannot be reached.'));

export const presented = ({ server }: World): string[] => server.presented.map(({ token }) => token);

/** The provider holds its answer to the next refresh until the gate opens; it has processed it before, or does so then. */
export function holdRefresh({ server }: World, processed: 'before' | 'then'): Deferred<void> {
  const gate = deferred();
  server.onRefresh(async (honest) => {
    const early = processed === 'before' ? honest() : undefined;
    await gate.promise;
    return early ?? honest();
  });
  return gate;
}

/** A connection whose access token is about to end: its owner may repeat an attempt as soon as the leases allow. */
export async function nearExpiry(world: World): Promise<void> {
  await world.connected();
  await world.pass(57 * MINUTE);
}

/** The reply is on the disk. */
export async function escrowed({ escrow }: World): Promise<void> {
  await vi.waitFor(() => expect(escrow.entries.size).toBe(1));
}

export async function heard({ listening }: Process): Promise<void> {
  await vi.waitFor(() => expect(listening.size).toBe(0));
}

/** Lets time pass, second by second, until the promise has ended; undefined when it does not within a minute. */
export async function within<T>({ clock }: World, promise: Promise<T>): Promise<T | undefined> {
  let ended: { value: T } | undefined;
  void promise.then((value) => {
    ended = { value };
  });
  for (let second = 0; second < 60 && !ended; second += 1) {
    await clock.advance(1_000);
    // The stores answer in real time.
    await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  return ended?.value;
}

export async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'mcp-data-platform-trace-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
