import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ownerEndpoint } from './attach.ts';
import { systemClock, systemRandom } from './clock.ts';
import type { Config } from './config.ts';
import { counted } from './core/counted.ts';
import { AppError } from './core/errors.ts';
import type { Log } from './core/ports.ts';
import { DATABASE_FOLDER } from './db/embedded/data-directory.ts';
import { acquireOwnership } from './db/embedded/owner-lock.ts';
import { KEY_FILE, loadEncryptionKey } from './db/encryption-key.ts';
import { migrations } from './db/migrations/index.ts';
import type { OpenDatabase } from './db/open.ts';
import { readIdentity } from './db/replica-identity.ts';
import { type CheckedFile, checkFile, refuseOtherKey, refuseUnknownSchema } from './db/transfer/check-file.ts';
import { type ExportSummary, exportDatabase } from './db/transfer/export-database.ts';
import type { Header } from './db/transfer/format.ts';
import { importDatabase } from './db/transfer/import-database.ts';
import { openConfiguredDatabase } from './storage.ts';

export type TransferInput = { config: Config; file: string; version: string; log: Log; overwrite: boolean };

const keyFileOf = (config: Config) => join(config.data_dir, KEY_FILE);

/**
 * Writes the database to `file`, and says what a person must know about it.
 * @throws AppError with one sentence; no file is left behind
 */
export async function exportFile({ config, file, version, log, overwrite }: TransferInput): Promise<string> {
  const embedded = config.database_url === undefined;
  if (embedded && !existsSync(join(config.data_dir, DATABASE_FOLDER))) {
    const sentence = `There is no database in ${config.data_dir}. Name the directory of the server with --data-dir, or set DATABASE_URL.`;
    throw new AppError('not_found', sentence);
  }
  const release = await ownDirectory(config, embedded ? 'refuse' : 'go_on');
  try {
    return await withDatabase(config, log, async (opened) => {
      const replica_id = (await readIdentity(config.data_dir)) ?? null;
      const ports = { clock: systemClock, random: systemRandom };
      const { db, engine } = opened;
      const dataDir = config.data_dir;
      const summary = await exportDatabase({ db, engine, dataDir, replica_id, file, overwrite, version, ...ports });
      return exportMessage(config, file, summary);
    });
  } finally {
    await release();
  }
}

/**
 * Fills the empty database that the configuration names from `file`.
 * @throws AppError with one sentence; then nothing was written
 */
export async function importFile({ config, file, log }: TransferInput): Promise<string> {
  const checked = await checkFile(file);
  refuseUnknownSchema(checked, Object.keys(migrations));
  await checkKey(config, checked);
  const release = await ownDirectory(config, 'refuse');
  try {
    return await withDatabase(config, log, async ({ db }) => {
      await importDatabase({ db, checked, dataDir: config.data_dir, migrations, log, random: systemRandom });
      return importMessage(config, checked);
    });
  } finally {
    await release();
  }
}

async function withDatabase<T>(config: Config, log: Log, use: (opened: OpenDatabase) => Promise<T>): Promise<T> {
  const opened = await openConfiguredDatabase(config, log);
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

/** `go_on`: PostgreSQL gives a consistent picture while servers run on it. */
async function ownDirectory(config: Config, whenServed: 'refuse' | 'go_on'): Promise<() => Promise<void>> {
  const ownership = await acquireOwnership(config.data_dir);
  if (ownership.owned) return ownership.release;
  if (whenServed === 'go_on') return async () => {};
  const owner = ownerEndpoint(config.data_dir);
  throw new AppError(
    'conflict',
    `The data directory ${config.data_dir} is in use by a running server${owner ? ` (process ${owner.pid})` : ''}. Stop it first.`,
  );
}

/** Before anything is written, so without the key that a first start would create. */
async function checkKey(config: Config, checked: CheckedFile): Promise<void> {
  if (checked.header.key_ids.length === 0) return;
  const { encryption_key, database_url, data_dir } = config;
  const inFile = encryption_key === undefined && database_url === undefined;
  const where = inFile
    ? `Copy ${KEY_FILE} of the exported data directory to ${keyFileOf(config)}, or set ENCRYPTION_KEY to the key that it used.`
    : 'Set ENCRYPTION_KEY to the key of the server that was exported.';
  if (inFile && !existsSync(keyFileOf(config))) return refuseOtherKey(checked, [], where);
  const key = await loadEncryptionKey({
    configured: encryption_key,
    dataDir: data_dir,
    allowCreate: inFile,
    random: systemRandom,
  });
  refuseOtherKey(checked, [key.id], where);
}

function countsOf({ tables }: Header): string {
  const rowsOf = (table: string) => tables[table]?.rows ?? 0;
  return `${counted(rowsOf('connections'), 'connection')}, ${counted(rowsOf('connection_auth_events'), 'event')}`;
}

function exportMessage(config: Config, file: string, { header, open_attempts, open_elsewhere }: ExportSummary): string {
  const key =
    config.encryption_key === undefined ? `the key in ${keyFileOf(config)}` : 'the ENCRYPTION_KEY of this server';
  const lines = [`Exported ${countsOf(header)} to ${file}.`];
  if (header.key_ids.length > 0) {
    lines.push(`Secrets in it are encrypted: an import needs ${key}. Keep the two apart.`);
  }
  if (header.escrow > 0) lines.push(`It also holds ${header.escrow} replies that were not in the database yet.`);
  if (open_attempts > 0) {
    lines.push(
      `${open_attempts} refreshes have an unknown outcome; they are resolved after an import as after a restart.`,
    );
  }
  if (open_elsewhere > 0) {
    lines.push(
      `${open_elsewhere} of them began on another replica, in whose escrow the answer may lie: start it once and stop it, and export again.`,
    );
  }
  lines.push(
    'Each refresh by a server that runs on makes a token in this file worthless: stop every server before you move.',
  );
  return `${lines.join('\n')}\n`;
}

function importMessage(config: Config, { file, header }: CheckedFile): string {
  const target = config.database_url === undefined ? `the database in ${config.data_dir}` : 'the PostgreSQL database';
  return [
    `Imported ${countsOf(header)} from ${file} (version ${header.product_version}, ${header.created_at}) into ${target}.`,
    "Start the server on it, and never again the one that was exported: the two would spend each other's refresh tokens.",
    '',
  ].join('\n');
}
