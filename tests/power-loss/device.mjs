// An ext4 file system of our own on a loop device, and the way to cut its power.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: neither pages nor journal reach the disk from here on. */
const CUT_WITH_PERL = `sysopen(my $d, $ARGV[0], 0) or exit 1; my $how = pack("I", 2); ioctl($d, 0x8004587d, $how) or exit 1;`;
const CUT_WITH_PYTHON = `import fcntl,os,struct,sys\nfcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack('I',2))`;
const CUTTERS = [
  { program: 'perl', args: ['-e', CUT_WITH_PERL] },
  { program: 'python3', args: ['-c', CUT_WITH_PYTHON] },
];

/**
 * What ext4 does by itself for careless programs is turned off: no journal commit every five seconds, no flush at a
 * rename. `writeback` also lets a file's length reach the disk before its content.
 */
const MOUNT_OPTIONS = 'loop,commit=300,noauto_da_alloc';
const SIZE_BYTES = 384 * 1024 * 1024;

/** @param {string} program @param {string[]} args */
function succeeds(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** @returns {string | undefined} why this machine cannot do it, in one sentence */
export function refusal() {
  if (process.platform !== 'linux') return 'power-loss needs Linux: it cuts the power of an ext4 file system.';
  if (process.getuid?.() !== 0) return 'power-loss needs root: it mounts an ext4 file system on a loop device.';
  for (const program of ['mkfs.ext4', 'mount', 'umount']) {
    if (!succeeds('sh', ['-c', `command -v ${program}`])) return `power-loss needs the program ${program}.`;
  }
  if (cutter() === undefined) return 'power-loss needs perl or python3, for one ioctl that Node cannot make.';
  const device = createDevice();
  try {
    device.format();
    device.mount('ordered');
    return device.cut() ? undefined : 'power-loss needs a kernel whose ext4 knows EXT4_IOC_SHUTDOWN (4.13 or newer).';
  } catch {
    return 'power-loss needs loop devices, which cannot be had here (a container without --privileged?).';
  } finally {
    device.remove();
  }
}

function cutter() {
  return CUTTERS.find(({ program }) => succeeds('sh', ['-c', `command -v ${program}`]));
}

/** @param {string} program @param {string[]} args */
function must(program, ...args) {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stderr}`);
}

export function createDevice() {
  const root = mkdtempSync(join(tmpdir(), 'mcp-data-platform-power-'));
  const image = join(root, 'disk');
  const mountPoint = join(root, 'mounted');
  mkdirSync(mountPoint);
  let mounted = false;
  const unmount = () => {
    if (mounted) must('umount', mountPoint);
    mounted = false;
  };
  // Interrupted, too: nothing of ours stays mounted.
  const leave = () => {
    if (mounted) spawnSync('umount', ['--lazy', mountPoint]);
    rmSync(root, { recursive: true, force: true });
  };
  process.once('exit', leave);
  return {
    mountPoint,
    format() {
      unmount();
      rmSync(image, { force: true });
      writeFileSync(image, '');
      truncateSync(image, SIZE_BYTES);
      must('mkfs.ext4', '-q', image);
    },
    /** Replays the journal, as a machine does that comes up again. @param {'ordered' | 'writeback'} data */
    mount(data) {
      must('mount', '-o', `${MOUNT_OPTIONS},data=${data}`, image, mountPoint);
      mounted = true;
    },
    unmount,
    /** @returns {boolean} whether the kernel did it */
    cut() {
      const { program, args } = cutter() ?? { program: 'false', args: [] };
      return succeeds(program, [...args, mountPoint]);
    },
    remove() {
      unmount();
      process.off('exit', leave);
      rmSync(root, { recursive: true, force: true });
    },
  };
}
