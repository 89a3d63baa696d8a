/**
 * Every failure that a person or a program can meet, once: its code, its HTTP status and its exit code.
 * `docs/errors.md` is compared with this table by a test.
 */
export const ERROR_TABLE = {
  invalid_request: { status: 400, exit: 2, title: 'The request is not valid' },
  unauthenticated: { status: 401, exit: 1, title: 'Sign-in needed' },
  forbidden: { status: 403, exit: 1, title: 'Not allowed' },
  not_found: { status: 404, exit: 1, title: 'Not found' },
  conflict: { status: 409, exit: 1, title: 'Conflict with the present state' },
  managed_by_file: { status: 409, exit: 1, title: 'Declared in the configuration file' },
  needs_person: { status: 409, exit: 1, title: 'Only a person can help' },
  payload_too_large: { status: 413, exit: 1, title: 'Too large' },
  invalid_config: { status: 422, exit: 2, title: 'The configuration is not valid' },
  secret_required: { status: 422, exit: 2, title: 'The secret is needed again' },
  discovery_failed: { status: 502, exit: 1, title: 'The authorization server could not be found' },
  registration_failed: { status: 502, exit: 1, title: 'The client could not be registered' },
  token_endpoint_failed: { status: 502, exit: 1, title: 'The authorization server did not give a token' },
  upstream_failed: { status: 502, exit: 1, title: 'The upstream did not answer as expected' },
  upstream_unreachable: { status: 502, exit: 1, title: 'The upstream cannot be reached' },
  egress_refused: { status: 422, exit: 1, title: 'The address may not be reached' },
  database_unavailable: { status: 503, exit: 1, title: 'The database cannot be reached' },
  unavailable: { status: 503, exit: 1, title: 'Not available right now' },
  overloaded: { status: 503, exit: 1, title: 'Too much at once' },
  timeout: { status: 504, exit: 1, title: 'No answer in time' },
  data_dir: { status: 500, exit: 3, title: 'The data directory cannot be used' },
  port_taken: { status: 500, exit: 4, title: 'The address is taken' },
  internal: { status: 500, exit: 1, title: 'An internal fault' },
} as const satisfies Record<string, { status: number; exit: number; title: string }>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** One field of the input that is not right: `path` names it as the caller wrote it, `message` says what is wanted. */
export type FieldIssue = { path: string; message: string };

/**
 * A failure told to a person. `message` says what failed, on which connection, and what to do now; it may be shown to
 * anybody. `cause` is for the log alone.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly issues: readonly FieldIssue[];
  /** Seconds after which the same request is worth sending again. */
  readonly retry_after: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; issues?: readonly FieldIssue[]; retry_after?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues ?? [];
    this.retry_after = options.retry_after;
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exit;
  }
}

export function isAppError(error: unknown): error is AppError {
  return error instanceof AppError;
}

/** What may be shown of any error: an AppError as it is, everything else as an internal fault without its text. */
export function toAppError(error: unknown): AppError {
  if (isAppError(error)) return error;
  return new AppError('internal', 'Something failed inside the server. The log has the details; try again.', {
    cause: error,
  });
}
