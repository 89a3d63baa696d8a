import type { AppError } from '../../core/errors.ts';
import { databaseUnavailable, SqlError } from '../sql-error.ts';

/** Where the database is, for a person: never with the user's password. */
export function describeTarget(databaseUrl: string): string {
  try {
    const url = new URL(databaseUrl);
    const host = url.hostname !== '' ? url.hostname : (url.searchParams.get('host') ?? 'localhost');
    return `${host}:${url.port === '' ? '5432' : url.port}${decodeURIComponent(url.pathname)}`;
  } catch {
    return 'the address in DATABASE_URL';
  }
}

/** What the reason of a failed connection means, by the codes of Node, TLS and PostgreSQL (class 28, 3D, 53, 57). */
const REASONS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused; is it running?',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name could not be resolved just now',
  ETIMEDOUT: 'no answer in time',
  EHOSTUNREACH: 'the host is unreachable',
  ENOENT: 'its socket file does not exist',
  '28P01': 'it refused the user or the password',
  '28000': 'it does not admit this user from here (pg_hba.conf)',
  '3D000': 'the database does not exist',
  '53300': 'it has no free connection (max_connections)',
  '57P01': 'it is shutting down',
  '57P03': 'it is starting up',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by an unknown authority',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

type DriverError = Error & {
  code?: string;
  severity?: string;
  constraint?: string;
  table?: string;
  column?: string;
  routine?: string;
};

/** Whether the connection is gone or unusable after this error, so that it must not return to the pool. */
export function isConnectionLoss(error: unknown): boolean {
  const { code, severity } = error as DriverError;
  // Only an answer of the server has a severity; Node's own codes (EPIPE) can look like a SQLSTATE.
  if (severity === undefined || severity === 'FATAL' || severity === 'PANIC') return true;
  return code === undefined || code.startsWith('08');
}

/**
 * Ended by one of our limits: `lock_not_available`, `query_canceled`.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const TIMED_OUT = new Set(['55P03', '57014']);

export function isTimeout(error: unknown): boolean {
  return TIMED_OUT.has((error as DriverError).code ?? '');
}

/** No text of the driver passes: it may quote a value or a password. */
export function translate(error: unknown, target: string, statement: string): AppError | SqlError {
  const { code, constraint, table, column, routine } = error as DriverError;
  if (isTimeout(error)) return databaseUnavailable(`PostgreSQL at ${target} did not finish a statement in time`);
  if (code !== undefined && !isConnectionLoss(error)) {
    return new SqlError({ code, constraint, table, column, routine }, statement);
  }
  return cannotReach(error, target);
}

export function cannotReach(error: unknown, target: string): AppError {
  const { code, message } = error as DriverError;
  const timedOut = typeof message === 'string' && /timeout/i.test(message);
  const reason = REASONS[code ?? ''] ?? (timedOut ? 'no answer in time' : 'the connection was lost');
  return databaseUnavailable(`Cannot reach PostgreSQL at ${target}: ${reason}`);
}
