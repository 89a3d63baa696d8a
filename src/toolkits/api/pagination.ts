/** Where the next page is, as far as an answer says. */
export type Pagination = {
  has_more: boolean;
  next_cursor: string | null;
  next_url: string | null;
  /** `link_header`, or the field of the body that it was read from. */
  source: string | null;
};

export const NO_PAGES: Pagination = { has_more: false, next_cursor: null, next_url: null, source: null };

const FIELDS = ['@odata.nextLink', 'next_cursor', 'nextCursor', 'next_page_token', 'nextPageToken', 'next'] as const;

const MAX_LENGTH = 16_384;

function absolute(text: string, at: URL): string | null {
  if (!URL.canParse(text, at.href)) return null;
  const url = new URL(text, at);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
}

/**
 * The target with relation `next`. Walks the text once: a pattern with nested repetitions could be made to run for
 * minutes by an upstream.
 * @see https://www.rfc-editor.org/rfc/rfc8288#section-3
 */
export function nextLink(header: string): string | undefined {
  const text = header.slice(0, MAX_LENGTH);
  for (let open = text.indexOf('<'); open >= 0; ) {
    const close = text.indexOf('>', open);
    if (close < 0) return undefined;
    const following = text.indexOf('<', close);
    const parameters = text.slice(close + 1, following < 0 ? undefined : following);
    const relation = parameters
      .split(/[;,]/)
      .map((part) => /^\s*rel\s*=\s*"?([^"]*)"?\s*$/i.exec(part)?.[1])
      .find((value) => value !== undefined);
    if (relation?.toLowerCase().split(/\s+/).includes('next')) return text.slice(open + 1, close).trim();
    open = following;
  }
  return undefined;
}

function ofField(field: string, value: unknown, at: URL): Pagination | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    return { has_more: true, next_cursor: String(value), next_url: null, source: field };
  }
  if (typeof value !== 'string' || value === '' || value.length > MAX_LENGTH) return undefined;
  const isUrl = field === '@odata.nextLink' || /^(?:https?:\/\/|\/|\?)/i.test(value);
  const next_url = isUrl ? absolute(value, at) : null;
  if (isUrl && next_url === null) return undefined;
  return { has_more: true, next_cursor: isUrl ? null : value, next_url, source: field };
}

/**
 * @param at the URL that was asked, for relative links
 * @param body as parsed; only an object's own fields are looked at
 */
export function paginationOf(headers: Headers, body: unknown, at: URL): Pagination {
  const link = nextLink(headers.get('link') ?? '');
  const next_url = link === undefined ? null : absolute(link, at);
  if (next_url !== null) return { has_more: true, next_cursor: null, next_url, source: 'link_header' };
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return NO_PAGES;
  for (const field of FIELDS) {
    const found = Object.hasOwn(body, field) ? ofField(field, (body as Record<string, unknown>)[field], at) : undefined;
    if (found) return found;
  }
  return NO_PAGES;
}
