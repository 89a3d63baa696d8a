// What a local PostgreSQL has used of the processor so far, all its processes together. Linux only.
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';

/** USER_HZ, as /proc counts on every architecture that Node runs on. */
const TICK_MS = 10;

/** @param {string | number} pid @returns {{ parent: number, own: number, ended: number } | undefined} */
function usage(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, utime = 0, stime = 0, cutime = 0, cstime = 0] = [1, 11, 12, 13, 14].map((at) => fields[at]);
    return { parent, own: utime + stime, ended: cutime + cstime };
  } catch {
    return undefined;
  }
}

/** @param {string} url @returns {Promise<() => number>} milliseconds, when called */
export async function databaseCpu(url) {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const postmaster = usage(rows[0].pid)?.parent ?? 0;
  await client.end();
  return () => {
    const { own = 0, ended = 0 } = usage(postmaster) ?? {};
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const children = processes.map(usage).filter((one) => one?.parent === postmaster);
    return TICK_MS * children.reduce((sum, one) => sum + (one?.own ?? 0), own + ended);
  };
}
