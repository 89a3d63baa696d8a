import * as fs from 'node:fs';
import { NodeFS } from '@electric-sql/pglite/nodefs';

/** How often the engine asked for data to reach the disk. `files` and `directories` count successes. */
export const syncCounters = { files: 0, directories: 0 };

/** Error numbers of the WASI interface that the engine speaks. */
const WASI_EBADF = 8;
const WASI_EINVAL = 28;
const WASI_EIO = 29;

/**
 * The engine's file system with `fsync` wired through. PGlite's own NODEFS has no such operation, so that nothing it
 * acknowledges survives a power cut. The hook rests on an internal of PGlite's build: the version is pinned and the
 * start-up counts syncs (`selfCheck`).
 *
 * PostgreSQL asks for every sync that it needs through this one door: the WAL at commit, data files and `pg_control`
 * at a checkpoint, new WAL segments, and the directory after a rename or a new file (`durable_rename`).
 */
export class DurableFileSystem extends NodeFS {
  /**
   * @override
   * @param {import('@electric-sql/pglite').PGlite} pg
   * @param {Parameters<NodeFS['init']>[1]} options
   */
  async init(pg, options) {
    const result = await super.init(pg, options);
    const inherited = result.emscriptenOpts.preRun ?? [];
    result.emscriptenOpts.preRun = [(module) => installSync(module), ...inherited];
    return result;
  }
}

/** @param {object} module the engine's runtime, before it starts */
function installSync(module) {
  const { NODEFS } = /** @type {{ NODEFS: { stream_ops: Record<string, unknown> } }} */ (module);
  NODEFS.stream_ops.fsync = (/** @type {{ nfd: number }} */ stream) => syncDescriptor(stream.nfd);
}

/**
 * @param {number} descriptor
 * @returns {number} 0, or a WASI error number; anything but 0 and EINVAL makes the engine stop, as it must: after a
 *   failed fsync nobody knows what is on the disk.
 */
function syncDescriptor(descriptor) {
  let isDirectory = false;
  try {
    isDirectory = fs.fstatSync(descriptor).isDirectory();
    fs.fsyncSync(descriptor);
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code;
    // Windows cannot sync a directory, some file systems neither: the engine knows EINVAL as "not supported here".
    if (isDirectory && code !== 'EIO') return WASI_EINVAL;
    return code === 'EBADF' ? WASI_EBADF : WASI_EIO;
  }
  if (isDirectory) syncCounters.directories += 1;
  else syncCounters.files += 1;
  return 0;
}
