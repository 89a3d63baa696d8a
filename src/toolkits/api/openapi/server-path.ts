import { type DocumentNode, entriesAt, listAt, nodeAt, textAt } from './document-node.ts';

/** The path between `base_url` and a path of the description: empty, or `/v1` without a slash at its end. */
export type ServerPath = { path: string; drift?: string };

/** The servers of a Swagger 2.0 document, as OpenAPI 3 would write them. */
function swaggerServers(root: DocumentNode): string[] {
  const base = textAt(root, 'basePath') ?? '';
  const host = textAt(root, 'host');
  if (host === undefined || host === '') return [base];
  const schemes = listAt(root, 'schemes').filter((scheme) => scheme === 'https' || scheme === 'http');
  return (schemes.length > 0 ? schemes : ['https']).map((scheme) => `${String(scheme)}://${host}${base}`);
}

/** `{name}` replaced by its default; in a host without one it stands for any label: `*`. */
function withDefaults(url: string, server: unknown): string {
  const variables = new Map(entriesAt(server, 'variables'));
  const isHost = (offset: number) => !url.slice(0, offset).replace('://', '').includes('/');
  return url.replace(/\{([^{}]*)\}/g, (_, name: string, offset: number) => {
    // A host's default is an example of a tenant; the connection knows its own.
    if (isHost(offset) && url.includes('://')) return '*';
    return textAt(variables.get(name), 'default') ?? '';
  });
}

function hostFits(pattern: string, host: string): boolean {
  if (!pattern.includes('*')) return pattern.toLowerCase() === host;
  const suffix = pattern.slice(pattern.lastIndexOf('*') + 1).toLowerCase();
  return host.endsWith(suffix);
}

/** An absolute URL's host and path, read without `URL`: a host may hold a `*`. */
function splitUrl(url: string): { host: string | undefined; path: string } {
  const start = /^(?:[a-z][a-z0-9+.-]*:\/\/|\/\/)/i.exec(url)?.[0];
  const rest = url.slice(start?.length ?? 0);
  const host = start === undefined ? undefined : (rest.split(/[/?#]/, 1)[0] ?? '');
  return { host, path: rest.slice(host?.length ?? 0).split(/[?#]/, 1)[0] ?? '' };
}

function trimmed(path: string): string {
  const slashed = path === '' || path.startsWith('/') ? path : `/${path.replace(/^\.\//, '')}`;
  let end = slashed.length;
  while (end > 0 && slashed[end - 1] === '/') end -= 1;
  return slashed.slice(0, end);
}

/** What of the server's path is not yet in `base_url`. */
function remainder(path: string, basePath: string): ServerPath {
  if (path === '' || path === '/.' || path === basePath || basePath.endsWith(path)) return { path: '' };
  if (path.startsWith(`${basePath}/`)) return { path: path.slice(basePath.length) };
  return {
    path: '',
    drift: `The description's server lies under ${path}, base_url under ${basePath}: paths are appended to base_url as it is.`,
  };
}

function among(servers: { url: string; server: unknown }[], baseUrl: string): ServerPath | undefined {
  const base = new URL(baseUrl);
  const basePath = trimmed(base.pathname);
  const foreign: string[] = [];
  const drifting: ServerPath[] = [];
  for (const { url, server } of servers) {
    const { host, path } = splitUrl(withDefaults(url, server));
    if (host !== undefined && !hostFits(host, base.host) && !hostFits(host, base.hostname)) {
      foreign.push(url);
      continue;
    }
    const found = remainder(trimmed(path), basePath);
    if (found.drift === undefined) return found;
    drifting.push(found);
  }
  if (drifting[0] !== undefined) return drifting[0];
  if (foreign[0] === undefined) return undefined;
  return {
    path: '',
    drift: `The server ${foreign[0]} is not that of base_url, which alone is called: paths are appended to base_url as it is.`,
  };
}

/** Of the whole description. */
export function rootServerPath(root: DocumentNode, major: 2 | 3, baseUrl: string): ServerPath {
  const servers =
    major === 2
      ? swaggerServers(root).map((url) => ({ url, server: undefined }))
      : listAt(root, 'servers').map((server) => ({ url: textAt(server, 'url') ?? '', server }));
  return among(servers, baseUrl) ?? { path: '' };
}

/** Of a path or an operation that has servers of its own; undefined where it has none. */
export function ownServerPath(node: DocumentNode, baseUrl: string): ServerPath | undefined {
  const servers = listAt(node, 'servers').map((server) => ({ url: textAt(server, 'url') ?? '', server }));
  return nodeAt(node, 'servers') === undefined && servers.length === 0 ? undefined : among(servers, baseUrl);
}
