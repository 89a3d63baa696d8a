/** Where a request goes, or what is wrong with the way it was written: `at` names the argument. */
export type Target = { ok: true; url: URL } | { ok: false; at: string; message: string };

const MAX_LENGTH = 16_384;
/** An upstream that decodes twice, or thrice, must find nothing that we did not see. */
const DECODINGS = 4;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;
const MALFORMED_ESCAPE = /%(?![0-9A-Fa-f]{2})/;

/** What a server may take for `.` or `..`: with a path parameter behind it, too, which some strip first. */
function climbs(text: string): boolean {
  return text.split(/[/\\]/).some((segment) => {
    const name = segment.split(';', 1)[0];
    return name === '.' || name === '..';
  });
}

/** As the most lenient server decodes: each escape by itself, whatever surrounds it. Enough for what is looked for. */
function decodeOnce(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

/** Looks at what the path says when it is decoded once, twice and so on, as servers behind servers do. */
function hiddenFault(path: string): string | undefined {
  if (!isUtf8(path)) return 'must have escapes (%XX) that decode as UTF-8';
  let text = path;
  for (let depth = 0; ; depth += 1) {
    const decoded = decodeOnce(text);
    if (decoded === text) return undefined;
    if (depth === DECODINGS) return 'is percent-encoded too many times over';
    if (CONTROL.test(decoded)) return 'must not contain encoded control characters, such as %0d or %00';
    if (climbs(decoded)) return 'must not contain encoded "." or ".." segments';
    text = decoded;
  }
}

/** What is wrong with a path as written by a caller; undefined when it may be sent. */
export function pathFault(path: string): string | undefined {
  if (path.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  if (!path.startsWith('/')) return 'must begin with "/": it is appended to the base URL';
  if (CONTROL.test(path)) return 'must not contain control characters or line breaks';
  if (path.includes('\\')) return 'must not contain a backslash';
  if (path.includes('@')) return 'must not contain "@"; write %40 where the API wants one';
  if (path.includes('#')) return 'must not contain "#"; write %23 where the API wants one';
  if (path.includes('//')) return 'must not contain "//", an empty segment';
  if (MALFORMED_ESCAPE.test(path)) return 'has a "%" that is not followed by two hexadecimal digits; write %25 for "%"';
  if (climbs(path)) return 'must not contain "." or ".." segments';
  return hiddenFault(path);
}

function queryFault(query: string): string | undefined {
  if (query.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  if (CONTROL.test(query)) return 'must not contain control characters or line breaks';
  return query.includes('#') ? 'must not contain "#"; write %23 where the API wants one' : undefined;
}

/**
 * The URL of one request below the connection's base URL: its origin and the path of its base can be left by nothing
 * that a caller writes.
 * @param base_url without a slash at its end
 * @param path below the base, with `?…` or without
 * @param query already encoded: `a=1&b=2`
 */
export function requestTarget(base_url: string, path: string, query = ''): Target {
  const mark = path.indexOf('?');
  const bare = mark < 0 ? path : path.slice(0, mark);
  const fault = pathFault(bare);
  if (fault) return { ok: false, at: 'path', message: fault };
  const queries = [mark < 0 ? '' : path.slice(mark + 1), query].filter((part) => part !== '').join('&');
  const wrongQuery = queryFault(queries);
  if (wrongQuery) return { ok: false, at: 'query_params', message: wrongQuery };
  const base = new URL(base_url);
  const below = base.pathname.replace(/\/+$/, '');
  // A space at the end would be cut off by the parser of URLs instead of being encoded.
  const text = `${base.origin}${below}${bare.replaceAll(' ', '%20')}${queries === '' ? '' : `?${queries}`}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const stays =
    url !== undefined &&
    url.origin === base.origin &&
    url.username === '' &&
    url.password === '' &&
    url.pathname.startsWith(`${below}/`) &&
    url.pathname.split('/').length === `${below}${bare}`.split('/').length;
  if (!stays) return { ok: false, at: 'path', message: 'does not stay below the base URL of the connection' };
  return { ok: true, url };
}

/** The path and query of a URL as a caller writes them, if it lies below the base URL. */
export function belowBase(base_url: string, url: URL): string | undefined {
  const base = new URL(base_url);
  const below = base.pathname.replace(/\/+$/, '');
  if (url.origin !== base.origin || !url.pathname.startsWith(`${below}/`)) return undefined;
  return url.pathname.slice(below.length) + url.search;
}
