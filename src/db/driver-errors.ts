import { AppError, isAppError } from '../core/errors.ts';
import { SqlError } from './sql-error.ts';

/**
 * SQLSTATE classes and codes that pass by themselves: connection exceptions, resources, shutdown, read-only standby,
 * and those by which PostgreSQL asks for the transaction again.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const PASSING_SQLSTATE = /^(08|53|57P0[1-5]$|25006$|40001$|40P01$|55P03$)/;
const FOREIGN_KEY_VIOLATION = '23503';

/**
 * The same failure without anything that a driver or a parser said: their texts quote bound values, and so tokens
 * (lesson 50). SQLSTATE, constraint and table travel on; of a fault of ours, where it happened.
 */
export function withoutDriverText(error: unknown): AppError {
  if (isAppError(error)) return error;
  if (!(error instanceof SqlError)) {
    const { name, stack }: { name?: unknown; stack?: unknown } = error instanceof Error ? error : {};
    const at = typeof stack === 'string' ? stack.split('\n').filter((line) => /^\s+at /.test(line)) : [];
    return new AppError('internal', 'Something failed inside the server while it used the database. Try again.', {
      cause: { name, at },
    });
  }
  const { code, constraint, table } = error;
  const cause = { code, constraint, table };
  // Every foreign key of ours leads to `connections`: what was to be written belongs to one that is gone.
  if (code === FOREIGN_KEY_VIOLATION) {
    return new AppError('not_found', 'The connection was deleted in the meantime. Create it again first.', { cause });
  }
  if (PASSING_SQLSTATE.test(code)) {
    return new AppError('database_unavailable', 'The database cannot work on this right now. Try again in a moment.', {
      cause,
      retry_after: 5,
    });
  }
  return new AppError('internal', 'The database refused a statement. The log has its code; try again.', { cause });
}

type Method = (...parameters: never[]) => Promise<unknown>;

/** Wraps every method of a store, so that no error of the driver leaves it as it is. */
export function guardStore<T extends { [K in keyof T]: Method }>(store: T): T {
  const guard =
    (method: Method): Method =>
    async (...parameters) => {
      try {
        return await method(...parameters);
      } catch (error) {
        throw withoutDriverText(error);
      }
    };
  const guarded = Object.entries<Method>(store).map(([name, method]) => [name, guard(method)]);
  return Object.fromEntries(guarded) as T;
}
