import type { Problem } from '../contract/schemas.ts';
import { type AppError, ERROR_TABLE } from '../core/errors.ts';

export function problemOf(error: AppError, instance?: string): Problem {
  return {
    type: `urn:mcp-data-platform:problem:${error.code}`,
    title: ERROR_TABLE[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(instance ? { instance } : {}),
    issues: [...error.issues],
  };
}

/** @see https://www.rfc-editor.org/rfc/rfc9457 */
export function problemResponse(error: AppError, options: { instance?: string; challenge?: string } = {}): Response {
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' });
  if (options.challenge) headers.set('www-authenticate', options.challenge);
  if (error.retry_after !== undefined) headers.set('retry-after', String(Math.max(1, Math.ceil(error.retry_after))));
  return new Response(JSON.stringify(problemOf(error, options.instance)), { status: error.status, headers });
}
