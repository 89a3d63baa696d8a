import { timingSafeEqual } from 'node:crypto';
import { type Examination, examinationSchema } from './contract/schemas.ts';
import { AppError } from './core/errors.ts';
import type { Clock, Fetch } from './core/ports.ts';
import { type Principal, STDIO_PRINCIPAL } from './core/principal.ts';
import { readOwnerRecord } from './db/embedded/owner-file.ts';
import { acquireOwnership, type Ownership } from './db/embedded/owner-lock.ts';

/** Whoever can read owner.json (mode 0600) is the user who owns the data directory. */
const SECRET_HEADER = 'x-mcp-data-platform-attach';
const PREFIX = '/attach/';
const MCP_PATH = '/attach/mcp';
const LINK_PATH = '/attach/sign-in-link';
const DOCTOR_PATH = '/attach/doctor';

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
      if (!request.url.includes(PREFIX)) return undefined;
      const { pathname } = new URL(request.url);
      if (![MCP_PATH, LINK_PATH, DOCTOR_PATH].includes(pathname)) return undefined;
      if (!allowed(request)) return Promise.resolve(new Response(null, { status: 404 }));
      if (pathname === MCP_PATH) return deps.handleMcp(request, STDIO_PRINCIPAL);
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

/** What the process that serves this data directory answers; undefined: none does, not in time, or in no JSON. */
async function askOwner(
  dataDir: string,
  ask: { method: 'GET' | 'POST'; path: string; timeout_ms: number },
  fetch: Fetch,
  clock: Clock,
): Promise<unknown> {
  const owner = ownerEndpoint(dataDir);
  if (!owner) return undefined;
  const { method, path, timeout_ms } = ask;
  const init = { method, headers: owner.headers, signal: clock.timeout(timeout_ms), trust: { url: 'typed' } } as const;
  const answer = await fetch(new URL(path, owner.url), init).catch(() => undefined);
  return answer?.ok ? answer.json().catch(() => undefined) : undefined;
}

/**
 * A fresh sign-in link from the process that serves this data directory.
 * @throws AppError `unavailable` when none does
 */
export async function requestSignInLink(dataDir: string, fetch: Fetch, clock: Clock): Promise<string> {
  const body = await askOwner(dataDir, { method: 'POST', path: LINK_PATH, timeout_ms: 5_000 }, fetch, clock);
  if (typeof body === 'object' && body !== null && 'url' in body && typeof body.url === 'string') return body.url;
  throw new AppError(
    'unavailable',
    `No server is running on the data directory ${dataDir}. Start one (mcp-data-platform --transport http), or name its directory with --data-dir.`,
  );
}

/** Asks the process that serves this data directory; undefined: none answers in time, or it is too old to know. */
export async function requestExamination(
  dataDir: string,
  fetch: Fetch,
  clock: Clock,
): Promise<Examination | undefined> {
  const body = await askOwner(dataDir, { method: 'GET', path: DOCTOR_PATH, timeout_ms: 10_000 }, fetch, clock);
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
