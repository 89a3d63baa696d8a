import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzipSync } from 'node:zlib';
import { ENGINE } from './engine-version.ts';
import { syncPath } from './sync.js';

/** Lies beside the image as `<image>.json`: what is in it, so that another engine's image is left alone. */
type Manifest = { format: 1; pglite: string; sha256: string };

type Entry = { path: string; kind: 'directory' | 'file'; size: number };

const HEADER_LENGTH_BYTES = 4;
/** A thousand small files: their syncs are cheaper together than one after the other. */
const WRITERS = 16;

/** Packs a cleanly closed database directory into one file and its manifest. */
export function packImage(directory: string, imagePath: string): { bytes: number } {
  const entries = listTree(directory, '');
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(HEADER_LENGTH_BYTES);
  length.writeUInt32BE(header.length);
  const files = entries.filter((entry) => entry.kind === 'file');
  const contents = files.map((entry) => fs.readFileSync(path.join(directory, entry.path)));
  const packed = gzipSync(Buffer.concat([length, header, ...contents]), { level: 9 });
  const manifest: Manifest = { format: 1, pglite: ENGINE.pglite, sha256: digest(packed) };
  fs.mkdirSync(path.dirname(imagePath), { recursive: true });
  fs.writeFileSync(imagePath, packed);
  fs.writeFileSync(`${imagePath}.json`, `${JSON.stringify(manifest)}\n`);
  return { bytes: packed.length };
}

/** Whether the image is there, whole, and of exactly this engine. */
export function readImage(imagePath: string): Buffer | undefined {
  try {
    const manifest = JSON.parse(fs.readFileSync(`${imagePath}.json`, 'utf8')) as Partial<Manifest>;
    if (manifest.format !== 1 || manifest.pglite !== ENGINE.pglite) return undefined;
    const packed = fs.readFileSync(imagePath);
    return digest(packed) === manifest.sha256 ? packed : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the image's tree into `directory`, which exists and is empty, and brings all of it to the disk. */
export async function unpackImage(packed: Buffer, directory: string): Promise<void> {
  const bytes = await promisify(gunzip)(packed);
  const headerEnd = HEADER_LENGTH_BYTES + bytes.readUInt32BE(0);
  const entries = JSON.parse(bytes.toString('utf8', HEADER_LENGTH_BYTES, headerEnd)) as Entry[];
  const files: { target: string; content: Buffer }[] = [];
  const directories = [directory];
  let offset = headerEnd;
  for (const entry of entries) {
    const target = path.join(directory, entry.path);
    if (entry.kind === 'directory') {
      fs.mkdirSync(target, { mode: 0o700 });
      directories.push(target);
    } else {
      files.push({ target, content: bytes.subarray(offset, offset + entry.size) });
    }
    offset += entry.size;
  }
  await Promise.all(Array.from({ length: WRITERS }, () => writeFiles(files)));
  for (const target of directories.reverse()) syncPath(target, 'r');
}

/** Takes files from the end of the shared list until none is left. */
async function writeFiles(files: { target: string; content: Buffer }[]): Promise<void> {
  for (let file = files.pop(); file !== undefined; file = files.pop()) {
    const handle = await fs.promises.open(file.target, 'wx', 0o600);
    try {
      await handle.writeFile(file.content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** Parents before their children. */
function listTree(root: string, below: string): Entry[] {
  const found = fs.readdirSync(path.join(root, below), { withFileTypes: true });
  return found.flatMap((entry): Entry[] => {
    const relative = path.posix.join(below, entry.name);
    if (entry.isDirectory()) return [{ path: relative, kind: 'directory', size: 0 }, ...listTree(root, relative)];
    if (!entry.isFile() || entry.name === 'postmaster.pid') return [];
    return [{ path: relative, kind: 'file', size: fs.statSync(path.join(root, relative)).size }];
  });
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
