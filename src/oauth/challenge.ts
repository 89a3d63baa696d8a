/** The parameters of the Bearer challenge among those that a server sent. */
export type BearerChallenge = { resource_metadata: string | null; scope: string | null };

const PART = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g;

/**
 * Reads `WWW-Authenticate`, which may hold several challenges. A name without `=` begins a new one.
 * @see https://www.rfc-editor.org/rfc/rfc9728#section-5.1
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function readBearerChallenge(header: string | null): BearerChallenge {
  const found: Record<string, string> = {};
  let scheme = '';
  for (const [, name = '', quoted, bare] of (header ?? '').matchAll(PART)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare;
    if (value === undefined) scheme = name.toLowerCase();
    else if (scheme === 'bearer') found[name.toLowerCase()] ??= value;
  }
  return { resource_metadata: found.resource_metadata || null, scope: found.scope || null };
}
