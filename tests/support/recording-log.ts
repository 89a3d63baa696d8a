import type { Log, LogFields } from '../../src/core/ports.ts';

export type LoggedLine = { level: 'debug' | 'info' | 'warn' | 'error'; message: string; fields: LogFields };

/** A log that keeps its lines. */
export function recordingLog(): Log & { lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at =
    (level: LoggedLine['level']) =>
    (message: string, fields: LogFields = {}) => {
      lines.push({ level, message, fields });
    };
  const log = {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
}
