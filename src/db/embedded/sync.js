import * as fs from 'node:fs';
import * as path from 'node:path';

// Apart from the engine's file system, whose import costs a start what only its thread needs.

/**
 * Brings a whole tree to the disk: what initdb or an unpacked image wrote was written without syncs.
 * @param {string} root
 */
export function syncTree(root) {
  for (const entry of fs.readdirSync(root, { withFileTypes: true })) {
    const child = path.join(root, entry.name);
    if (entry.isDirectory()) syncTree(child);
    else if (entry.isFile()) syncPath(child, 'r+');
  }
  syncPath(root, 'r');
}

/**
 * @param {string} target
 * @param {'r' | 'r+'} mode 'r' for a directory; Windows syncs a file only through a writable descriptor
 */
export function syncPath(target, mode) {
  let descriptor;
  try {
    descriptor = fs.openSync(target, mode);
    fs.fsyncSync(descriptor);
  } catch (error) {
    if (mode === 'r' && process.platform === 'win32') return;
    throw error;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}
