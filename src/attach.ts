import { timingSafeEqual } from 'node:crypto';
import { type Examination, examinationSchema } from './contract/schemas.ts';
import { AppError } from './core/errors.ts';
import type { Clock, Fetch } from './core/ports.ts';
import type { Principal } from './core/principal.ts';
import { readOwnerRecord } from './db/embedded/owner-file.ts';
import { acquireOwnership, type Ownership } from './db/embedded/owner-lock.ts';

/** Whoever can read owner.json (mode 0600) is the user who owns the data directory. */
const SECRET_HEADER = 'x-mcp-data-platform-attach';
const MCP_PATH = '/attach/mcp';
const LINK_PATH = '/attach/sign-in-link';
const DOCTOR_PATH = '/attach/doctor';
const ATTACHED: Principal = { actor: 'stdio', role: 'agent', via: 'stdio' };

export type AttachPoint = {
  /** Answers a second process of the same user; undefined: not meant for this door. */
  handle(request: Request): Promise<Response> | undefined;
};

/** The owner's side: its own door, beside the public ones, for processes that attach. */
export function createAttachPoint(deps: {
  secret: string;
  handleMcp(request: Request, principal: Principal): Promise<Response>;
  createSignInLink(): Promise<string>;
  examine(): Promise<Examination>;
}): AttachPoint {
  const secret = Buffer.from(deps.secret);
  const allowed = (request: Request) => {
    const given = Buffer.from(request.headers.get(SECRET_HEADER) ?? '');
    return given.length === secret.length && timingSafeEqual(given, secret);
  };
  return {
    handle(request) {
      const { pathname } = new URL(request.url);
      if (![MCP_PATH, LINK_PATH, DOCTOR_PATH].includes(pathname)) return undefined;
      if (!allowed(request)) return Promise.resolve(new Response(null, { status: 404 }));
      if (pathname === MCP_PATH) return deps.handleMcp(request, ATTACHED);
      if (pathname === DOCTOR_PATH) return deps.examine().then((found) => Response.json(found));
      return deps.createSignInLink().then((url) => Response.json({ url }));
    },
  };
}

/** Where the present owner of a data directory is reached; undefined when none has said so. */
export function ownerEndpoint(
  dataDir: string,
): { url: string; headers: Record<string, string>; pid: number } | undefined {
  const record = readOwnerRecord(dataDir);
  if (!record) return undefined;
  return { url: record.address + MCP_PATH, headers: { [SECRET_HEADER]: record.attach_secret }, pid: record.pid };
}

/**
 * A fresh sign-in link from the process that serves this data directory.
 * @throws AppError `unavailable` when none does
 */
export async function requestSignInLink(dataDir: string, fetch: Fetch, clock: Clock): Promise<string> {
  const owner = ownerEndpoint(dataDir);
  if (owner) {
    const url = new URL(LINK_PATH, owner.url);
    const init = {
      method: 'POST',
      headers: owner.headers,
      signal: clock.timeout(5_000),
      trust: { url: 'typed' },
    } as const;
    const answer = await fetch(url, init).catch(() => undefined);
    const body: unknown = answer?.ok ? await answer.json() : undefined;
    if (typeof body === 'object' && body !== null && 'url' in body && typeof body.url === 'string') return body.url;
  }
  throw new AppError(
    'unavailable',
    `No server is running on the data directory ${dataDir}. Start one (mcp-data-platform --transport http), or name its directory with --data-dir.`,
  );
}

/** Asks the process that serves this data directory; undefined: none does, or it is too old to know. */
export async function requestExamination(
  dataDir: string,
  fetch: Fetch,
  clock: Clock,
): Promise<Examination | undefined> {
  const owner = ownerEndpoint(dataDir);
  if (!owner) return undefined;
  const url = new URL(DOCTOR_PATH, owner.url);
  const init = { headers: owner.headers, signal: clock.timeout(10_000), trust: { url: 'typed' } } as const;
  const answer = await fetch(url, init).catch(() => undefined);
  const body: unknown = answer?.ok ? await answer.json().catch(() => undefined) : undefined;
  const read = examinationSchema.safeParse(body);
  return read.success ? read.data : undefined;
}

const OWNERSHIP_POLL_MS = 500;

/** Waits until this process owns the directory: the lock ends with its holder, however that ends. */
export async function waitForOwnership(
  dataDir: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Extract<Ownership, { owned: true }> | undefined> {
  while (!signal.aborted) {
    const ownership = await acquireOwnership(dataDir);
    if (ownership.owned) return ownership;
    await clock.sleep(OWNERSHIP_POLL_MS, signal);
  }
  return undefined;
}
