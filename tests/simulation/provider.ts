import type { TokenReply } from '../../src/core/token-response.ts';
import { answer } from '../support/ports.ts';
import type { Plan } from './plan.ts';
import type { Dice } from './scheduler.ts';

/** What became of a token on its way to us. */
export type Fate = 'under way' | 'never arrived' | 'garbled' | 'received' | 'escrowed';

/** The tokens of one answer. */
export type Issued = {
  grant: Grant;
  index: number;
  refresh: string;
  access: string;
  access_ends: number;
  fate: Fate;
};

/** Who ended a grant: its user, the reuse of an old token by us, our own revocation, or that of another token. */
export type End = 'user' | 'reuse' | 'revoked' | 'revoked with another';

/** One consent at the provider, and the family of tokens that came of it. */
export type Grant = {
  id: string;
  /** The OAuth state by which the person came. */
  state: string;
  issued: Issued[];
  honoured: string[];
  previous_ends: number;
  ended: End | null;
};

export type Answered = { reply: TokenReply; issued: Issued | null };

export const INVALID_GRANT = { error: 'invalid_grant' };

const json = (body: unknown, status = 200, more: object = {}): TokenReply => answer(body, { status, ...more });

/** An authorization server by itself: it knows nothing of us, the network or the clock. Times are handed in. */
export function createProvider(plan: Plan, dice: Dice) {
  const grants: Grant[] = [];
  const byRefresh = new Map<string, Issued>();
  const byAccess = new Map<string, Issued>();
  /** Which tokens an answer brings, whatever it looks like. */
  const contents = new WeakMap<TokenReply, Issued>();
  /** Faults have stopped: from now on it is prompt, truthful and up. */
  let honest = false;
  /** A bad deploy: until then it refuses every refresh token, and forgets none. */
  let refuses_until = 0;

  function end(grant: Grant, how: End): void {
    grant.ended ??= how;
    grant.honoured = [];
  }

  function expire(grant: Grant, now: number): void {
    if (plan.rotation === 'grace' && now > grant.previous_ends) grant.honoured = grant.honoured.slice(-1);
  }

  function issue(grant: Grant, now: number): Issued {
    const index = grant.issued.length;
    const access_ends = now + plan.access_lifetime;
    const refresh = plan.rotation === 'static' && index > 0 ? `r-${grant.id}t0` : `r-${grant.id}t${index}`;
    const issued: Issued = { grant, index, refresh, access: `a-${grant.id}t${index}`, access_ends, fate: 'under way' };
    grant.issued.push(issued);
    byAccess.set(issued.access, issued);
    if (!byRefresh.has(refresh)) byRefresh.set(refresh, issued);
    return issued;
  }

  /** What this server does with a refresh token; null: refused. */
  function rotate(token: string, now: number): Issued | null {
    const grant = byRefresh.get(token)?.grant;
    if (!grant || grant.ended) return null;
    expire(grant, now);
    if (!grant.honoured.includes(token)) {
      if (plan.rotation === 'strict' || plan.rotation === 'grace') end(grant, 'reuse');
      return null;
    }
    const issued = issue(grant, now);
    const { refresh } = issued;
    const current = grant.honoured.at(-1) ?? token;
    if (plan.rotation === 'grace') {
      grant.honoured = [current, refresh];
      grant.previous_ends = now + plan.grace_window;
    } else if (plan.rotation === 'firstuse') {
      // Refreshing with a child is its first use: the old one and its other children end.
      grant.honoured = token === grant.honoured[0] ? [...grant.honoured, refresh] : [token, refresh];
    } else if (plan.rotation !== 'static') {
      grant.honoured = [refresh];
    }
    return issued;
  }

  function truth(issued: Issued): Record<string, unknown> {
    const omit = plan.rotation === 'static' && issued.index > 0 && dice.chance(0.5);
    return {
      access_token: issued.access,
      ...(omit ? {} : { refresh_token: issued.refresh }),
      token_type: 'Bearer',
      expires_in: plan.access_lifetime / 1_000,
    };
  }

  /** The same tokens, told badly: no reader of ours may lose them over it. */
  function told(issued: Issued): TokenReply {
    const body = truth(issued);
    if (!plan.lying || honest || dice.chance(0.3)) return json(body);
    const seconds = dice.pick<unknown>(['600', 'soon', -5, 0, 1e15, null, 600.5, { in: 600 }, undefined]);
    const strange = { ...body, token_type: dice.pick([undefined, 'bearer', 7]), expires_in: seconds };
    const form = Object.entries(body).map(([key, value]) => `${key}=${String(value)}`);
    return dice.pick([
      () => json(strange),
      () => json({ ...strange, error: null, scope: ['a', 7] }),
      () => json({ ok: true, authed_user: body }),
      () => json(strange, 500),
      () => json(body, 200, { media_type: 'text/html' }),
      () => json(form.join('&'), 200, { media_type: 'application/x-www-form-urlencoded' }),
    ])();
  }

  /** Instead of a true answer; the request was processed or not, as the caller decides. */
  function lie(): TokenReply {
    return dice.pick([
      () => json('<html>Request blocked</html>', dice.pick([200, 401, 403, 502]), { media_type: 'text/html' }),
      () => json('', dice.pick([200, 204, 500])),
      () => json('{"access_token":"cut', dice.pick([200, 500])),
      () => json({ message: 'oops' }, dice.pick([200, 500, 504])),
      () => ({ type: 'unknown', error_class: 'unreadable' }) as const,
    ])();
  }

  /** Nothing was processed, and the answer says so in the protocol's own terms. */
  function refusal(): TokenReply {
    return dice.pick([
      () => json({ error: 'slow down' }, 429, { retry_after: 20 }),
      () => json('', 429),
      () => json('', 503, { retry_after: 60 }),
      () => json({ error: 'temporarily_unavailable' }, 503),
      () => json({ error: 'server_error' }, 200),
      () => json({ error: 'invalid_client' }, 401),
      () => json({ error: 'invalid_request', error_description: 'no' }, 200),
    ])();
  }

  function answered(process: () => Issued | null): Answered {
    const lies = plan.lying && !honest;
    if (lies && dice.chance(0.15)) return { reply: dice.chance(0.5) ? refusal() : lie(), issued: null };
    const issued = process();
    if (!issued) return { reply: json(INVALID_GRANT, plan.lying ? dice.pick([200, 400, 401]) : 400), issued: null };
    if (lies && dice.chance(0.08)) {
      issued.fate = 'garbled';
      return { reply: lie(), issued };
    }
    const reply = told(issued);
    contents.set(reply, issued);
    return { reply, issued };
  }

  return {
    grants,
    byRefresh: (token: string) => byRefresh.get(token),
    byAccess: (token: string) => byAccess.get(token),
    contentsOf: (reply: TokenReply) => contents.get(reply),
    becomeHonest: () => {
      honest = true;
      refuses_until = 0;
    },
    refusal,

    refuseUntil(end: number): void {
      refuses_until = end;
    },

    /** An answer that it gave a while ago may be read only now. */
    refuses: (now: number) => now < refuses_until + 10 * 60_000,

    refresh: (token: string, now: number): Answered =>
      now < refuses_until ? { reply: json(INVALID_GRANT, 400), issued: null } : answered(() => rotate(token, now)),

    exchange: (state: string, now: number): Answered =>
      answered(() => {
        const id = `g${grants.length}`;
        const grant: Grant = { id, state, issued: [], honoured: [], previous_ends: 0, ended: null };
        grants.push(grant);
        const issued = issue(grant, now);
        grant.honoured = [issued.refresh];
        return issued;
      }),

    revoke(token: string): void {
      const grant = (byRefresh.get(token) ?? byAccess.get(token))?.grant;
      if (!grant) return;
      end(grant, 'revoked');
      if (plan.revokes_everything) for (const other of grants) end(other, 'revoked with another');
    },

    /** Its user withdraws the consent. */
    withdraw(grant: Grant): void {
      end(grant, 'user');
    },

    honours(token: string, now: number): boolean {
      const grant = byRefresh.get(token)?.grant;
      if (!grant) return false;
      expire(grant, now);
      return grant.honoured.includes(token);
    },

    /** A call with an access token, at the resource. */
    use(access: string, now: number): boolean {
      const issued = byAccess.get(access);
      if (!issued || issued.grant.ended || issued.access_ends <= now) return false;
      const { grant, refresh } = issued;
      const [base] = grant.honoured;
      const child = refresh !== base && grant.honoured.includes(refresh);
      if (plan.rotation === 'firstuse' && child) grant.honoured = [refresh];
      return true;
    },
  };
}

export type Provider = ReturnType<typeof createProvider>;
