import { AppError } from '../../core/errors.ts';
import type { Clock, Log } from '../../core/ports.ts';
import type { SqlSession, SqlSource } from '../dialect.ts';
import { databaseUnavailable } from '../sql-error.ts';

const OLDEST_VERSION = 150_000;
const CLOCK_TOLERANCE_MS = 5_000;
const PROOF_DEADLINE_MS = 5_000;

/** What the proof needs of the lock session. */
export type ProvableSession = {
  query(sql: string, parameters?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  listen(channel: string, listener: (payload: string) => void): Promise<() => void>;
};

export type ProofInput = {
  source: SqlSource;
  session: ProvableSession;
  target: string;
  clock: Clock;
  log: Log;
  /** Drawn at random for each start: replicas that start together must not meet on it. */
  proofKey: bigint;
};

/** @throws AppError when the server is too old or the connection cannot carry locks and notifications. */
export async function proveServer(input: ProofInput): Promise<void> {
  await refuseOldServer(input);
  await warnOfClock(input);
  await proveSession(input);
}

async function refuseOldServer({ session, target }: ProofInput): Promise<void> {
  const { rows } = await session.query("select current_setting('server_version_num')::int4 as number");
  const number = Number(rows[0]?.number ?? 0);
  if (number >= OLDEST_VERSION) return;
  throw databaseUnavailable(
    `PostgreSQL 15 or newer is needed; ${target} runs version ${Math.floor(number / 10_000)}. Upgrade it, or leave ` +
      'DATABASE_URL unset to use the embedded database',
  );
}

async function warnOfClock({ session, target, clock, log }: ProofInput): Promise<void> {
  const before = clock.now();
  const { rows } = await session.query('select (extract(epoch from clock_timestamp()) * 1000)::int8 as now');
  const here = (before + clock.now()) / 2;
  const difference = Number(rows[0]?.now ?? here) - here;
  if (Math.abs(difference) <= CLOCK_TOLERANCE_MS) return;
  log.warn('the clock of the database differs from the clock of this machine: expiry times will be judged wrongly', {
    target,
    difference_ms: Math.round(difference),
  });
}

/**
 * Proves that the address leads to one session that stays: a lock taken there excludes a pooled connection, the
 * session is still the same backend while that connection keeps another one busy, and a notification arrives. A
 * pooler in transaction mode fails at least one of the three.
 */
async function proveSession(input: ProofInput): Promise<void> {
  const { session, source, proofKey, clock, target } = input;
  const pooled = await source.acquire();
  try {
    const locked = await session.query('select pg_try_advisory_lock($1) as granted, pg_backend_pid() as pid', [
      proofKey,
    ]);
    const excluded = await isExcluded(pooled, proofKey);
    const after = await session.query('select pg_backend_pid() as pid');
    await pooled.query('rollback', []);
    const stays = locked.rows[0]?.pid === after.rows[0]?.pid;
    if (locked.rows[0]?.granted !== true || !excluded || !stays) throw pooledAddress(target, 'advisory locks');
    const heard = await hears(session, pooled, `proof_${BigInt.asUintN(64, proofKey).toString(16)}`, clock);
    if (!heard) throw pooledAddress(target, 'notifications');
    await session.query('select pg_advisory_unlock($1)', [proofKey]);
  } finally {
    pooled.release();
  }
}

async function isExcluded(pooled: SqlSession, proofKey: bigint): Promise<boolean> {
  await pooled.query('start transaction', []);
  const { rows } = await pooled.query('select pg_try_advisory_xact_lock($1) as granted', [proofKey]);
  return rows[0]?.granted === false;
}

async function hears(session: ProvableSession, pooled: SqlSession, channel: string, clock: Clock): Promise<boolean> {
  const deadline = new AbortController();
  let heard = false;
  const end = await session.listen(channel, () => {
    heard = true;
    deadline.abort();
  });
  await pooled.query('select pg_notify($1, $2)', [channel, 'proof']);
  if (!heard) await clock.sleep(PROOF_DEADLINE_MS, deadline.signal);
  end();
  await session.query(`unlisten "${channel}"`);
  return heard;
}

function pooledAddress(target: string, what: string): AppError {
  return new AppError(
    'invalid_config',
    `DATABASE_URL (${target}) does not keep one session: ${what} do not work on it. Point it at PostgreSQL directly, or ` +
      'at a pooler in session mode (not transaction mode).',
  );
}
