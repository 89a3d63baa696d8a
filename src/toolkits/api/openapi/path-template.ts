/** One segment of a path: literal texts and the parameters between them, `{owner}` or `{base}...{head}`. */
export type Segment = (string | { parameter: string; reserved: boolean })[];

export type PathTemplate = {
  segments: Segment[];
  /** In the order of the path, each once. */
  parameters: string[];
  /** What some descriptions write behind a `?` in the path, to be sent as it is. */
  query: [name: string, value: string][];
};

function segmentOf(text: string, names: Set<string>): Segment {
  const parts: Segment = [];
  let at = 0;
  for (const match of text.matchAll(/\{([^{}]+)\}/g)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    // RFC 6570 operators and `*`, which some write: `{name*}`, and `{+name}` for a value that may hold slashes (§3.2.3).
    const written = match[1] ?? '';
    const name = written.replace(/^[+#./;?&]/, '').replace(/\*$/, '');
    names.add(name);
    parts.push({ parameter: name, reserved: written.startsWith('+') });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function readTemplate(path: string): PathTemplate {
  const withoutFragment = path.split('#', 1)[0] ?? '';
  const mark = /\?(?![^{]*\})/.exec(withoutFragment)?.index ?? -1;
  const bare = mark < 0 ? withoutFragment : withoutFragment.slice(0, mark);
  const names = new Set<string>();
  const segments = bare
    .replace(/^\//, '')
    .split('/')
    .map((text) => segmentOf(text, names));
  const pairs =
    mark < 0
      ? []
      : withoutFragment
          .slice(mark + 1)
          .split('&')
          .filter((pair) => pair !== '');
  const query = pairs.flatMap((pair): [string, string][] => {
    const [name = '', ...value] = pair.split('=');
    // `?limit={limit}` only repeats a parameter that is described as one of the query.
    return pair.includes('{') ? [] : [[decoded(name), decoded(value.join('='))]];
  });
  return { segments, parameters: [...names], query };
}

/** How well a concrete segment fits: 0 not at all, 1 by a parameter, 2 by one with a text beside it, 3 by its text. */
function fitOf(segment: Segment, text: string): 0 | 1 | 2 | 3 {
  if (segment.length === 0) return text === '' ? 3 : 0;
  if (segment.length === 1 && typeof segment[0] === 'string') return segment[0] === text ? 3 : 0;
  let at = 0;
  for (const [index, part] of segment.entries()) {
    if (typeof part !== 'string') continue;
    const last = index === segment.length - 1;
    const found =
      index === 0 ? (text.startsWith(part) ? 0 : -1) : last ? text.lastIndexOf(part) : text.indexOf(part, at);
    if (found < at || (last && found + part.length !== text.length)) return 0;
    at = found + part.length;
  }
  if (text === '') return 0;
  return segment.length > 1 ? 2 : 1;
}

/** The path in as many pieces as the template has: its first `{+name}` takes what the others leave. */
function piecesFor({ segments }: PathTemplate, path: readonly string[]): readonly string[] | undefined {
  const spare = path.length - segments.length;
  if (spare === 0) return path;
  const wide = segments.findIndex((segment) => segment.some((part) => typeof part !== 'string' && part.reserved));
  if (wide < 0 || spare < 0) return undefined;
  return [...path.slice(0, wide), path.slice(wide, wide + spare + 1).join('/'), ...path.slice(wide + spare + 1)];
}

/** The fits of all segments, to be compared as text: literal segments win, the leftmost first. Undefined: no match. */
export function matchTemplate(template: PathTemplate, path: readonly string[]): string | undefined {
  const pieces = piecesFor(template, path);
  if (pieces === undefined) return undefined;
  let fits = '';
  for (const [index, segment] of template.segments.entries()) {
    const found = fitOf(segment, pieces[index] ?? '');
    if (found === 0) return undefined;
    fits += found;
  }
  return fits;
}
