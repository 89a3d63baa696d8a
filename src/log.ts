import { type DestinationStream, pino } from 'pino';
import { isAppError } from './core/errors.ts';
import { EgressError, type Log } from './core/ports.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const MAX_CAUSES = 4;

/** What the database room tells of its own failures: names and codes, no values. */
const PLAIN_KEYS = ['code', 'constraint', 'table'] as const;

function codesOf(cause: unknown): Record<string, unknown> {
  const told = typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>) : {};
  const known: Record<string, unknown> = { name: typeof cause };
  for (const key of PLAIN_KEYS) if (typeof told[key] === 'string') known[key] = told[key];
  return known;
}

/**
 * What may be logged of an error: our own sentences in full; of any other error its name, its code and where it was
 * thrown, but never its text, which may hold bound values, foreign bodies or driver wording (lessons 21, 50).
 */
export function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return codesOf(error);
  const ours = isAppError(error) || error instanceof EgressError;
  const code = (error as { code?: unknown }).code;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    name: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(ours ? { message: error.message } : {}),
    ...(isAppError(error) ? {} : { stack: frames.slice(0, 8).map((line) => line.trim()) }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: serializeError(error.cause, depth + 1) }),
  };
}

/** JSON lines; `error` fields pass through the allow-list, and a Secret prints itself as `[REDACTED]`. */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (error) => serializeError(error), err: (error) => serializeError(error) },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  );
  return wrap(logger);
}

function wrap(logger: pino.Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: (fields) => wrap(logger.child(fields)),
  };
}
