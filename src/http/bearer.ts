import type { RequiredRole } from '../contract/endpoints.ts';
import { AppError } from '../core/errors.ts';
import type { RequestHead } from '../core/plain-post.ts';
import type { Principal } from '../core/principal.ts';
import type { ApiKeys } from './api-keys.ts';
import type { BrowserSession, Sessions } from './sessions.ts';

export type Caller = { principal: Principal; session: BrowserSession | null };

export type Entrance = {
  /** Session cookie, then `X-API-Key`, then `Authorization: Bearer`. @throws AppError unauthenticated, forbidden */
  admin(request: Request, role: Exclude<RequiredRole, 'public'>): Promise<Caller>;
  /** An API key alone: what a browser sends by itself is not looked at. @throws AppError unauthenticated */
  machine(request: RequestHead): Principal;
};

type Credential = { key: string | null; malformed: boolean };

function presentedKey(request: RequestHead): Credential {
  const key = request.headers.get('x-api-key');
  if (key !== null) return { key: key.trim(), malformed: false };
  const authorization = request.headers.get('authorization');
  if (authorization === null) return { key: null, malformed: false };
  const bearer = /^bearer +([\w.~+/-]+=*) *$/i.exec(authorization);
  return { key: bearer?.[1] ?? null, malformed: !bearer };
}

/** @see https://www.rfc-editor.org/rfc/rfc6750#section-3 : no error code where no credential was given */
export function challengeFor(request: RequestHead): string {
  const { key, malformed } = presentedKey(request);
  const error = key !== null || malformed ? ', error="invalid_token"' : '';
  return `Bearer realm="mcp-data-platform"${error}`;
}

function refused({ key, malformed }: Credential): AppError {
  if (malformed) return new AppError('unauthenticated', 'The Authorization header must read: Bearer <API key>.');
  if (key === null) {
    return new AppError(
      'unauthenticated',
      'Nobody is signed in. Send an API key as "Authorization: Bearer <key>" or "X-API-Key: <key>"; in a browser, open a sign-in link (mcp-data-platform link).',
    );
  }
  return new AppError('unauthenticated', 'The API key is not known. Check it against the keys of the configuration.');
}

export function createEntrance(apiKeys: ApiKeys, sessions: Sessions): Entrance {
  function byKey(request: RequestHead): Principal {
    const presented = presentedKey(request);
    const principal = presented.key === null ? undefined : apiKeys.verify(presented.key);
    if (!principal) throw refused(presented);
    return principal;
  }
  return {
    machine: byKey,
    async admin(request, role) {
      const session = await sessions.read(request);
      const principal = session?.principal ?? byKey(request);
      if (role === 'admin' && principal.role !== 'admin') {
        throw new AppError('forbidden', 'This API key is for agents: it may call tools, not change connections.');
      }
      return { principal, session: session ?? null };
    },
  };
}
