const FILLER = new Set(['mcp', 'api', 'www', 'app', 'server', 'gateway', 'sse', 'remote']);
const SECOND_LEVEL = new Set(['co', 'com', 'net', 'org', 'gov', 'ac']);

function stem(url: URL): string {
  const { hostname, port } = url;
  if (hostname === 'localhost' || hostname.startsWith('[') || /^[\d.]+$/.test(hostname)) {
    return port ? `local-${port}` : 'local';
  }
  const labels = hostname.split('.');
  if (labels.length > 1) labels.pop();
  if (labels.length > 1 && SECOND_LEVEL.has(labels[labels.length - 1] ?? '')) labels.pop();
  const telling = labels.filter((label) => !FILLER.has(label));
  return telling[telling.length - 1] ?? labels[labels.length - 1] ?? '';
}

/** A name for the server at `endpoint` that none of `taken` has; empty while the text is not yet a web address. */
export function proposeName(endpoint: string, taken: readonly string[]): string {
  const text = endpoint.trim();
  if (!URL.canParse(text)) return '';
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return '';
  const base = stem(url)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 56);
  if (base === '') return '';
  let name = base;
  for (let count = 2; taken.includes(name); count += 1) name = `${base}-${count}`;
  return name;
}
