/**
 * The engine that reads and writes a data directory. A directory does not open across PGlite's minor versions, nor
 * across PostgreSQL's majors; a test holds this against `package.json`.
 */
export const ENGINE = { pglite: '0.5.16', postgres_major: '18' } as const;

/** Lies in the database directory, beside PostgreSQL's own files. */
export const ENGINE_FILE = 'mcp-data-platform.json';

/** PGlite's minor version, within which directories are exchangeable: `0.5` of `0.5.16`. */
export function engineLine(pglite: string): string {
  return pglite.split('.').slice(0, 2).join('.');
}
