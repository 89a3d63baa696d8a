import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

/** A lock of the operating system on an open file: it ends with the process, however the process ends. */
export type HeldLock = { release(): Promise<void> };
export type LockAttempt = { outcome: 'held'; lock: HeldLock } | { outcome: 'taken' } | { outcome: 'unsupported' };

/** open(2) of macOS and the BSDs: take flock(2) exclusively while opening. */
const BSD_O_EXLOCK = 0x20;
/** libuv on Windows: open with a share mode of zero (`UV_FS_O_EXLOCK`). */
const WINDOWS_O_EXLOCK = 0x1000_0000;

const { O_CREAT, O_RDWR, O_NONBLOCK } = fs.constants;
const PRIVATE = 0o600;

/**
 * Node has no flock(2). On Linux a lock belongs to the *open file*, not to the process that asked: `flock` is handed our
 * descriptor, locks what it stands for, and exits; the lock stays ours until we close it or die. Being on the inode, it
 * holds between containers that share the directory on one machine.
 * @see flock(2), flock(1): "flock [options] number"
 */
export function lockWithProgram(file: string, programs: readonly string[] = flockPrograms()): LockAttempt {
  const descriptor = fs.openSync(file, O_RDWR | O_CREAT, PRIVATE);
  for (const program of programs) {
    const { status, error } = spawnSync(program, ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', descriptor] });
    if (error === undefined && status === 0) return { outcome: 'held', lock: closing(descriptor) };
    if (error === undefined && status === 1) {
      fs.closeSync(descriptor);
      return { outcome: 'taken' };
    }
  }
  fs.closeSync(descriptor);
  return { outcome: 'unsupported' };
}

/** Fixed places first: a program that started us may have left PATH nearly empty. */
function flockPrograms(): string[] {
  const fixed = ['/usr/bin/flock', '/bin/flock', '/usr/local/bin/flock', '/run/current-system/sw/bin/flock'];
  return [...fixed.filter((program) => fs.existsSync(program)), 'flock'];
}

/** macOS, the BSDs and Windows lock while opening. */
export function lockWhileOpening(file: string, platform: NodeJS.Platform): LockAttempt {
  const flags =
    platform === 'win32' ? O_RDWR | O_CREAT | WINDOWS_O_EXLOCK : O_RDWR | O_CREAT | O_NONBLOCK | BSD_O_EXLOCK;
  try {
    return { outcome: 'held', lock: closing(fs.openSync(file, flags, PRIVATE)) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EBUSY') return { outcome: 'taken' };
    if (code === 'EOPNOTSUPP' || code === 'ENOTSUP') return { outcome: 'unsupported' };
    throw error;
  }
}

/**
 * Linux without `flock`: an abstract socket named after the directory's inode. It too ends with the process, but is
 * seen only within one network namespace.
 * @see unix(7)
 */
export async function lockWithSocket(directory: string): Promise<LockAttempt> {
  const { dev, ino } = fs.statSync(directory, { bigint: true });
  const server = net.createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ outcome: error.code === 'EADDRINUSE' ? 'taken' : 'unsupported' });
    });
    server.listen({ path: `\0mcp-data-platform-owner-${dev}-${ino}` }, () => {
      server.unref();
      const release = () => new Promise<void>((done) => server.close(() => done()));
      resolve({ outcome: 'held', lock: { release } });
    });
  });
}

function closing(descriptor: number): HeldLock {
  return { release: async () => fs.closeSync(descriptor) };
}

/** The file is never removed: a lock on a file without a name would exclude nobody. */
export function lockFileOf(dataDir: string): string {
  return path.join(dataDir, 'owner.lock');
}
