import { AppError } from '../core/errors.ts';

/** What an engine says of a refused statement, on either engine. */
export type SqlRefusal = {
  code: string;
  constraint?: string | undefined;
  table?: string | undefined;
  column?: string | undefined;
  routine?: string | undefined;
};

/**
 * A statement that the database refused. It carries names alone: the engine's own sentence may quote a value, and
 * values here are secrets.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  /** SQLSTATE, e.g. `23505` for a violated unique constraint. */
  readonly code: string;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;

  constructor(refusal: SqlRefusal, statement: string) {
    const where = [refusal.constraint, refusal.table, refusal.column].filter((name) => name !== undefined);
    const names = [...where, ...(refusal.routine === undefined ? [] : [`in ${refusal.routine}`])].join(', ');
    const verb = statement.trim().slice(0, 60).replace(/\s+/g, ' ');
    super(`The database refused a statement (SQLSTATE ${refusal.code}${names === '' ? '' : `: ${names}`}): ${verb} …`);
    this.code = refusal.code;
    this.constraint = refusal.constraint;
    this.table = refusal.table;
    this.column = refusal.column;
  }
}

export function isUniqueViolation(error: unknown): error is SqlError {
  return error instanceof SqlError && error.code === '23505';
}

/** `what` is a sentence without its end, e.g. "cannot reach PostgreSQL at db:5432/app: refused". */
export function databaseUnavailable(what: string): AppError {
  return new AppError('database_unavailable', `${what}.`);
}
