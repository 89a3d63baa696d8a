import { AppError } from '../core/errors.ts';
import type { Clock, Fetch, FetchInit } from '../core/ports.ts';
import { EgressError } from '../core/ports.ts';
import { readLimited } from './limited-body.ts';

export type Fields = Record<string, unknown>;

/** A metadata document, or in words why there is none. `absent`: the server is there and says that it has none. */
export type RemoteDocument =
  | { found: true; url: string; fields: Fields }
  | { found: false; url: string; absent: boolean; why: string };

/** A person waits for discovery, and up to five documents may be asked for. */
export const DISCOVERY_TIMEOUT_MS = 10_000;

export const BY_HAND =
  'Set oauth2_issuer, or oauth2_authorization_url and oauth2_token_url with oauth2_client_id, on the connection.';

export function discoveryFailed(what: string, advice: string = BY_HAND, cause?: unknown): AppError {
  return new AppError('discovery_failed', `${what} ${advice}`, { cause });
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** null, too, for what is no text: with control characters or half of a surrogate pair it could not even be stored. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value) && value.isWellFormed() ? value : null;
}

/** The strings of a list; null when there is no list. */
export function textsOf(value: unknown): string[] | null {
  return Array.isArray(value) ? value.flatMap((entry) => textOf(entry) ?? []) : null;
}

/** An absolute http(s) URL without fragment, else null: `javascript:` and the like never reach a browser. */
export function urlOf(value: unknown): string | null {
  const text = textOf(value);
  if (text === null || !URL.canParse(text)) return null;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'https:' || protocol === 'http:') && !username && !password ? text : null;
}

/** Why a request failed, in words that may be shown; never the peer's own. */
export function failureOf(error: unknown): string {
  return error instanceof EgressError ? error.message : 'The request failed.';
}

/** Fetches a JSON object. A content type is not asked for: several servers send text/plain. */
export async function fetchDocument(
  tools: { fetch: Fetch; clock: Clock },
  url: string,
  trust: FetchInit['trust'],
): Promise<RemoteDocument> {
  const missing = (why: string, absent = false): RemoteDocument => ({ found: false, url, absent, why });
  try {
    const response = await tools.fetch(url, {
      headers: { accept: 'application/json' },
      signal: tools.clock.timeout(DISCOVERY_TIMEOUT_MS),
      trust,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      const absent = response.status >= 400 && response.status < 500;
      return missing(`It answered with status ${response.status}.`, absent);
    }
    const body = await readLimited(response);
    if (body.type === 'too_large' || !body.complete) return missing('Its answer could not be read.');
    const fields: unknown = JSON.parse(body.text);
    return isFields(fields) ? { found: true, url, fields } : missing('Its answer is not a JSON object.');
  } catch (error) {
    return missing(error instanceof SyntaxError ? 'Its answer is not JSON.' : failureOf(error));
  }
}
