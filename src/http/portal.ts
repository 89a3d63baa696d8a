import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '../core/ports.ts';
import { html, pageResponse } from './page.ts';

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Addresses that never mean a page of the portal, so that a program gets a 404 and not 200 with HTML. */
const NOT_PAGES = /^\/(?:api|\.well-known|mcp|oauth|connect|assets)(?:\/|$)/;

/** A file below the folder; undefined for anything that leads out of it, to a hidden file, or nowhere. */
function fileOf(folder: string, pathname: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
  if (/[\0\\]/.test(decoded) || decoded.split('/').some((part) => part.startsWith('.'))) return undefined;
  const file = path.resolve(folder, `.${decoded}`);
  return file.startsWith(path.resolve(folder) + path.sep) ? file : undefined;
}

async function read(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

function fileResponse(request: Request, file: string, content: Buffer): Response {
  const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`;
  const hashed = file.includes(`${path.sep}assets${path.sep}`);
  const headers: Record<string, string> = {
    'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
    // Vite puts a content hash into the names of its assets; everything else is asked for anew.
    'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-security-policy': POLICY,
    etag,
  };
  const known = request.headers
    .get('if-none-match')
    ?.split(',')
    .some((tag) => tag.trim().replace(/^W\//, '') === etag);
  if (known) return new Response(null, { status: 304, headers });
  return new Response(new Uint8Array(content), { headers });
}

export type Portal = { serve(request: Request): Promise<Response | undefined> };

/** The built single-page app: its files, and its one page for every other address that a browser opens. */
export function createPortal(folder: string | null, random: Random): Portal {
  return {
    async serve(request) {
      const { pathname } = new URL(request.url);
      if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
      const file = folder === null ? undefined : fileOf(folder, pathname);
      const content = await read(file);
      if (file !== undefined && content) return fileResponse(request, file, content);
      const accept = request.headers.get('accept') ?? '*/*';
      const isPage = !NOT_PAGES.test(pathname) && !path.extname(pathname) && /text\/html|\*\/\*/.test(accept);
      if (!isPage) return undefined;
      const index = folder === null ? undefined : path.join(path.resolve(folder), 'index.html');
      const shell = await read(index);
      if (index !== undefined && shell) return fileResponse(request, index, shell);
      const body = html`<p>The server runs, but its portal is not built. Run <code>npm run build</code> and restart.</p>`;
      return pageResponse({ title: 'The portal is not built', body, status: 503 }, random);
    },
  };
}
