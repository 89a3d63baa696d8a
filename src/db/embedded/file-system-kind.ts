import * as fs from 'node:fs';
import { AppError } from '../../core/errors.ts';

/** File systems that several machines may have open at once, where a local lock excludes nobody and fsync may lie. */
const SHARED_KINDS = new Set(
  (
    'nfs nfs4 cifs smb3 smbfs ncpfs afs coda ceph 9p lustre gfs2 ocfs2 beegfs orangefs davfs vboxsf glusterfs ' +
    'fuse.sshfs fuse.glusterfs fuse.ceph fuse.ceph-fuse fuse.s3fs fuse.rclone fuse.gcsfuse fuse.goofys fuse.davfs2 ' +
    'fuse.curlftpfs fuse.mount-s3 fuse.juicefs fuse.vmhgfs-fuse'
  ).split(' '),
);

/** Magic numbers of statfs(2), for where the mount table cannot be read: NFS, CIFS, SMB, SMB2, 9p, AFS, Ceph. */
const SHARED_MAGICS = new Set([0x6969, 0xff534d42, 0x517b, 0xfe534d42, 0x01021997, 0x5346414f, 0x00c36400]);

/**
 * The kind of the file system that holds `realPath`, from the text of `/proc/self/mountinfo`.
 * @see https://www.kernel.org/doc/html/latest/filesystems/proc.html
 */
export function kindFromMounts(mounts: string, realPath: string): string | undefined {
  let best: { point: string; kind: string } | undefined;
  for (const line of mounts.split('\n')) {
    const [before, after] = line.split(' - ');
    const point = before
      ?.split(' ')[4]
      ?.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const kind = after?.split(' ')[0];
    if (point === undefined || kind === undefined) continue;
    const holds = realPath === point || realPath.startsWith(point.endsWith('/') ? point : `${point}/`);
    // Of two mounts on one point the later one is on top.
    if (holds && (best === undefined || point.length >= best.point.length)) best = { point, kind };
  }
  return best?.kind;
}

/** @throws AppError when the directory lies on a network file system. */
export function refuseSharedFileSystem(directory: string): void {
  const kind = sharedKind(directory);
  if (kind === undefined) return;
  throw new AppError(
    'data_dir',
    `The data directory ${directory} is on a network file system (${kind}), where the embedded database cannot be ` +
      'kept safe. Choose a --data-dir on a local disk, or set DATABASE_URL.',
  );
}

function sharedKind(directory: string): string | undefined {
  const realPath = fs.realpathSync(directory);
  if (realPath.startsWith('\\\\') && !realPath.startsWith('\\\\?\\')) return 'a Windows share';
  try {
    const kind = kindFromMounts(fs.readFileSync('/proc/self/mountinfo', 'utf8'), realPath);
    if (kind !== undefined) return SHARED_KINDS.has(kind) ? kind : undefined;
  } catch {
    // No mount table here: ask the directory itself.
  }
  if (process.platform !== 'linux') return undefined;
  const { type } = fs.statfsSync(realPath);
  return SHARED_MAGICS.has(type >>> 0) ? `type 0x${(type >>> 0).toString(16)}` : undefined;
}
