import type { Mount } from './deps.ts';

/** @property part what follows the mount's path and a slash, decoded; undefined: nothing does */
export type Mounted = { mount: Mount; part: string | undefined };

/** The path of a URL as it was written. */
function pathOf(url: string): string {
  const begin = url.indexOf('/', url.indexOf('//') + 2);
  const end = url.slice(begin).search(/[?#]/);
  return begin < 0 ? '/' : end < 0 ? url.slice(begin) : url.slice(begin, begin + end);
}

function decodedPart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Which mount serves a URL, if one does. Every call of an agent or a program comes this way, and so past the router and
 * what it makes for each request.
 */
export function createMounted(mounts: readonly Mount[]): (url: string) => Mounted | undefined {
  return (url) => {
    const path = pathOf(url);
    const mount = mounts.find((one) => path.startsWith(one.path) && (path[one.path.length] ?? '/') === '/');
    if (!mount) return undefined;
    const below = path.slice(mount.path.length + 1);
    if (mount.deep || path === mount.path) return { mount, part: undefined };
    return below === '' || below.includes('/') ? undefined : { mount, part: decodedPart(below) };
  };
}
