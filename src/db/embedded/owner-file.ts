import * as fs from 'node:fs';
import * as path from 'node:path';

const OWNER_FILE = 'owner.json';

/** How a second process on the directory reaches its owner. */
export type OwnerRecord = { address: string; attach_secret: string; pid: number; started_at: string };

/** Where the owner runs: evidence, where the lock alone cannot see it. */
export type OwnerPlace = { boot_id: string | null; network_namespace: string | null };

/** Replaces the owner's record, readable by its user alone. */
export function writeOwnerRecord(dataDir: string, record: OwnerRecord): void {
  const file = path.join(dataDir, OWNER_FILE);
  const unfinished = `${file}.new`;
  fs.rmSync(unfinished, { force: true });
  fs.writeFileSync(unfinished, `${JSON.stringify({ ...record, place: ownPlace() })}\n`, { mode: 0o600, flag: 'wx' });
  fs.renameSync(unfinished, file);
}

/** The present or last owner; undefined when there is none, or its record is half-written or unreadable. */
export function readOwnerRecord(dataDir: string): OwnerRecord | undefined {
  const value = readOwnerJson(dataDir);
  if (value === undefined) return undefined;
  const { address, attach_secret, pid, started_at } = value;
  if (typeof address !== 'string' || typeof attach_secret !== 'string') return undefined;
  if (typeof pid !== 'number' || typeof started_at !== 'string') return undefined;
  return { address, attach_secret, pid, started_at };
}

export function removeOwnerRecord(dataDir: string): void {
  fs.rmSync(path.join(dataDir, OWNER_FILE), { force: true });
}

export function readOwnerPlace(dataDir: string): OwnerPlace | undefined {
  const place = readOwnerJson(dataDir)?.place;
  if (typeof place !== 'object' || place === null) return undefined;
  const { boot_id, network_namespace } = place as Partial<OwnerPlace>;
  return { boot_id: boot_id ?? null, network_namespace: network_namespace ?? null };
}

/** Null where the system does not tell: everywhere but on Linux. */
export function ownPlace(): OwnerPlace {
  return {
    boot_id: attempt(() => fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    network_namespace: attempt(() => fs.readlinkSync('/proc/self/ns/net')),
  };
}

function readOwnerJson(dataDir: string): Record<string, unknown> | undefined {
  const text = attempt(() => fs.readFileSync(path.join(dataDir, OWNER_FILE), 'utf8'));
  const value: unknown = text === null ? null : attempt((): unknown => JSON.parse(text));
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
