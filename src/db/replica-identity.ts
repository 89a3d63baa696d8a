import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';
import type { Random } from '../core/ports.ts';
import { createDurably, errorCode, makeDirectory } from './durable-file.ts';

const FILE = 'replica-id';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Who this replica is, for as long as its data directory lives: intents name it, and its escrow lies beside it
 * (protocol rule 4).
 * @throws AppError `data_dir` when the file is there and holds something else.
 */
export async function readReplicaIdentity(input: { dataDir: string; random: Random }): Promise<string> {
  const { dataDir, random } = input;
  await makeDirectory(dataDir);
  const existing = await readIdentity(dataDir);
  if (existing !== undefined) return existing;
  const replica_id = random.uuid();
  if (await createDurably(dataDir, FILE, `.${FILE}.${replica_id}`, `${replica_id}\n`)) return replica_id;
  return (await readIdentity(dataDir)) ?? replica_id;
}

/** For an import that brings the escrow of that replica along; a directory that is somebody already stays that. */
export async function adoptReplicaIdentity(input: {
  dataDir: string;
  random: Random;
  replica_id: string;
}): Promise<void> {
  const { dataDir, random, replica_id } = input;
  await makeDirectory(dataDir);
  await createDurably(dataDir, FILE, `.${FILE}.${random.uuid()}`, `${replica_id}\n`);
}

/** Undefined: no server has run on this directory yet. */
export async function readIdentity(dataDir: string): Promise<string | undefined> {
  const path = join(dataDir, FILE);
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const replica_id = content.trim();
  if (UUID.test(replica_id)) return replica_id;
  throw new AppError(
    'data_dir',
    `${path} does not hold the identity of a replica. Restore it from a backup; if there is none, delete it, and this replica starts as a new one.`,
  );
}
