import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { never, type Process, type World } from '../flows/world.ts';
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

/** How long the keeper of a reply rests before it tries again. */
const KEEPER_RESTS_MS = 1_000;

/** Waits until the keeper rests, and wakes it; false: the promise has ended, or nobody rests any more. */
export async function wakeKeeper({ clock }: World, promise: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void promise.finally(() => {
    ended = true;
  });
  const rests = () => clock.sleeping.includes(KEEPER_RESTS_MS);
  const known = vi.waitFor(() => expect(ended || rests()).toBe(true), { timeout: 10_000, interval: 2 });
  await known.catch(() => undefined);
  if (ended || !rests()) return false;
  await clock.advance(KEEPER_RESTS_MS);
  return true;
}

/** A process that dies with its claim on the row, and nothing sent. */
export async function diesAfterClaim(world: World, replica_id: string): Promise<void> {
  const claimed = deferred();
  const process = await world.boot({
    replica_id,
    credentials: {
      async claimIntent(claim) {
        await world.stores.credentials.claimIntent(claim);
        claimed.resolve();
        return never();
      },
    },
  });
  void process.refresh();
  await claimed.promise;
  process.kill();
}

export async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'mcp-data-platform-trace-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
