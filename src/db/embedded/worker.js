import * as fs from 'node:fs';
import * as path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { DurableFileSystem, syncCounters } from './durable-file-system.js';
import { syncTree } from './sync.js';

/** @typedef {import('./worker-protocol.ts').WorkerRequest} WorkerRequest */
/** @typedef {import('./worker-protocol.ts').WorkerAnswer} WorkerAnswer */
/** @typedef {import('./worker-protocol.ts').WorkerReply} WorkerReply */

// Plain JavaScript, because a worker thread starts from its file on disk: from `src` too, where nothing compiles it.

const INT8 = 20;
const TEXT_TYPES = { date: 1082, timestamp: 1114, interval: 1186 };

/**
 * Nothing here ever creates a database from a template, and they are two files of three in a directory. Nobody could
 * vacuum them either, so that in the end the age of their transaction ids would stop the server.
 */
const WITHOUT_TEMPLATES = [
  "update pg_database set datistemplate = false where datname in ('template0', 'template1')",
  'drop database template0',
  'drop database template1',
];

/** Begun while the directory is still being prepared. */
const compiled = compileEngine();

/** @type {PGlite | undefined} */
let engine;

/** Node's types for this version do not know it. @typedef {{ compile(bytes: Uint8Array): Promise<object> }} Compiler */

/** Undefined where it lies elsewhere: the engine then finds and compiles it by itself. */
async function compileEngine() {
  const { WebAssembly } = /** @type {typeof globalThis & { WebAssembly: Compiler }} */ (globalThis);
  try {
    const file = new URL('pglite.wasm', import.meta.resolve('@electric-sql/pglite'));
    return await WebAssembly.compile(await fs.promises.readFile(file));
  } catch {
    return undefined;
  }
}

/** @param {string} directory */
async function openEngine(directory) {
  return PGlite.create({
    fs: new DurableFileSystem(directory),
    pgliteWasmModule: await compiled,
    startParams: [
      ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'), // -F turns fsync off
      ...['-c', 'wal_sync_method=fsync'], // fdatasync is an empty function in this build
      ...['-c', 'max_wal_size=64MB'], // how much log a checkpoint leaves to be reused
    ],
    parsers: {
      [INT8]: (/** @type {string} */ text) => BigInt(text),
      ...Object.fromEntries(Object.values(TEXT_TYPES).map((type) => [type, (/** @type {string} */ text) => text])),
    },
  });
}

/**
 * Runs initdb in `directory` and brings all of it to the disk.
 * @param {string} directory
 * @param {{ file: string, text: string }} marker
 */
async function initialise(directory, marker) {
  const created = await openEngine(directory);
  for (const statement of WITHOUT_TEMPLATES) await created.query(statement);
  await created.query('checkpoint');
  await created.close();
  fs.writeFileSync(path.join(directory, marker.file), marker.text, { mode: 0o600 });
  syncTree(directory);
}

/**
 * @param {WorkerRequest} request
 * @returns {Promise<WorkerAnswer>}
 */
async function answer(request) {
  switch (request.op) {
    case 'initialise':
      await initialise(request.directory, request.marker);
      return {};
    case 'open':
      engine = await openEngine(request.directory);
      return {};
    case 'syncs':
      return { syncs: { ...syncCounters } };
    case 'close':
      await engine?.close();
      engine = undefined;
      return {};
    case 'query': {
      if (engine === undefined) throw new Error('The engine is not open.');
      const result = await engine.query(request.sql, request.parameters);
      return {
        rows: /** @type {Record<string, unknown>[]} */ (result.rows),
        affected: result.affectedRows ?? 0,
      };
    }
  }
}

/**
 * @param {number} id
 * @param {unknown} error
 * @returns {WorkerReply}
 */
function failure(id, error) {
  const fault = /** @type {Error & Partial<import('@electric-sql/pglite').messages.DatabaseError>} */ (error);
  const isStatement = typeof fault.severity === 'string' && typeof fault.code === 'string';
  const isEnd = fault.severity === 'PANIC' || fault.severity === 'FATAL';
  const isCrash = ['RuntimeError', 'ExitStatus', 'ErrnoError'].includes(String(fault.name));
  const { constraint, table, column, routine } = fault;
  return {
    id,
    ok: false,
    fatal: isCrash || isEnd,
    message: String(fault.message),
    refusal: isStatement ? { code: String(fault.code), constraint, table, column, routine } : null,
  };
}

parentPort?.on('message', async (/** @type {WorkerRequest & { id: number }} */ request) => {
  try {
    parentPort?.postMessage({ id: request.id, ok: true, answer: await answer(request) });
  } catch (error) {
    parentPort?.postMessage(failure(request.id, error));
  }
});
