export type MediaKind = 'json' | 'text' | 'binary' | 'unknown';

const TEXTUAL =
  /^(?:text\/|application\/(?:xml|javascript|ecmascript|x-javascript|yaml|x-yaml|toml|sql|graphql|x-www-form-urlencoded|x-sh|csv|jsonl|x-ndjson|ndjson|json-seq|http)$)|\+(?:xml|yaml|json-seq)$/;

/** `application/json` of `Application/JSON; charset=utf-8`. */
export function mediaType(contentType: string | null): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

export function charsetOf(contentType: string | null): string {
  return /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(contentType ?? '')?.[1] ?? 'utf-8';
}

/** How a body of this type is shown to a model. `unknown`: the first bytes must tell. */
export function mediaKind(contentType: string | null): MediaKind {
  const type = mediaType(contentType);
  if (type === '') return 'unknown';
  if (type === 'application/json' || type.endsWith('+json') || type === 'text/json') return 'json';
  return TEXTUAL.test(type) ? 'text' : 'binary';
}
