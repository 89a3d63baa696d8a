import { EVERYTHING } from '../core/access-rule.ts';
import type { AccessStore, Clock, Random } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Instant } from '../core/token-set.ts';
import { type ApiKeys, hashToken } from './api-keys.ts';
import { type CookieNames, readCookie, setCookie } from './cookies.ts';
import { safePath } from './origin.ts';

/** A browser session ends seven days after its sign-in, whether used or not. */
const SESSION_LIFETIME_MS = 7 * 86_400_000;
/** Long enough to be found in a start-up message, short enough to be worthless in a log of yesterday. */
const LINK_LIFETIME_MS = 15 * 60_000;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

export type BrowserSession = { principal: Principal; expires_at: Instant; hash: string };

export function randomToken(random: Random): string {
  return Buffer.from(random.bytes(32)).toString('base64url');
}

export function isToken(text: string | null): text is string {
  return text !== null && TOKEN.test(text);
}

/**
 * A link that signs one browser in, once. For the start-up message and the command `link`.
 * @param input.return_url a path of this site to open after the sign-in
 */
export async function createSignInLink(
  deps: { access: AccessStore; clock: Clock; random: Random; publicUrl: string },
  input: { actor: string; return_url?: string },
): Promise<{ url: string; expires_at: Instant }> {
  const token = randomToken(deps.random);
  const expires_at = deps.clock.now() + LINK_LIFETIME_MS;
  await deps.access.createSignInLink(hashToken(token), input.actor, expires_at);
  const url = new URL('/sign-in', deps.publicUrl);
  url.searchParams.set('token', token);
  const back = safePath(input.return_url);
  if (back) url.searchParams.set('return_to', back);
  return { url: url.href, expires_at };
}

export type Sessions = {
  /** Makes a session; the token is only in the cookie that comes back. */
  start(actor: string): Promise<{ cookie: string; expires_at: Instant }>;
  read(request: Request): Promise<BrowserSession | undefined>;
  end(session: BrowserSession): Promise<void>;
  /** The Set-Cookie value that makes a browser forget. */
  forget: string;
};

export function createSessions(
  deps: { access: AccessStore; apiKeys: ApiKeys; clock: Clock; random: Random },
  names: CookieNames,
): Sessions {
  const { access, apiKeys, clock, random } = deps;
  const { secure } = names;
  return {
    forget: setCookie(names.session, '', { max_age: 0, secure }),

    async start(actor) {
      const token = randomToken(random);
      const expires_at = clock.now() + SESSION_LIFETIME_MS;
      await access.createSession(hashToken(token), actor, expires_at);
      return { cookie: setCookie(names.session, token, { max_age: SESSION_LIFETIME_MS / 1_000, secure }), expires_at };
    },

    async read(request) {
      const token = readCookie(request, names.session);
      if (!isToken(token)) return undefined;
      const hash = hashToken(token);
      const stored = await access.readSession(hash, clock.now());
      if (!stored) return undefined;
      // A session that a key opened does not outlive the key.
      const permitted = stored.actor.startsWith('apikey:') ? apiKeys.adminAccess(stored.actor) : EVERYTHING;
      if (!permitted) return undefined;
      return {
        principal: { actor: stored.actor, role: 'admin', via: 'session', access: permitted },
        expires_at: stored.expires_at,
        hash,
      };
    },

    end: (session) => access.deleteSession(session.hash),
  };
}
