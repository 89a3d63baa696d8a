import type { Session } from '../contract/schemas.ts';
import { AppError } from '../core/errors.ts';
import type { AccessStore, Clock, Random } from '../core/ports.ts';
import { type ApiKeys, hashToken } from './api-keys.ts';
import { type OriginRules, safePath } from './origin.ts';
import { type Html, html, pageResponse, redirect } from './page.ts';
import { problemResponse } from './problem.ts';
import { readText } from './request-input.ts';
import { isToken, type Sessions } from './sessions.ts';

const FORM_LIMIT = 16_384;
const CHALLENGE = 'Bearer realm="mcp-data-platform"';

export type SignIn = {
  /** Shows a form and uses nothing up: whoever previews the link must not spend it. */
  page(request: Request): Response;
  /** Takes `token` or `key`, and `return_to`. Answers a browser with a redirect, `Accept: application/json` with JSON. */
  submit(request: Request): Promise<Response>;
};

export type SignInDeps = {
  access: AccessStore;
  apiKeys: ApiKeys;
  sessions: Sessions;
  origins: OriginRules;
  clock: Clock;
  random: Random;
};

const ANOTHER_LINK = html`<p>Run <code>mcp-data-platform link</code> on the machine of the server: it prints a new one. Or
sign in with an admin API key:</p>`;

function keyForm(back: string): Html {
  return html`<form method="post" action="/sign-in">
<input type="hidden" name="return_to" value="${back}">
<label for="key">Admin API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>`;
}

function linkForm(token: string, back: string): Html {
  return html`<p>This link signs this browser in, once.</p>
<form method="post" action="/sign-in">
<input type="hidden" name="token" value="${token}">
<input type="hidden" name="return_to" value="${back}">
<button>Sign in</button>
</form>`;
}

type Refusal = { error: AppError; title: string; hint: Html | null };

export function createSignIn(deps: SignInDeps): SignIn {
  const { access, apiKeys, sessions, origins, clock, random } = deps;

  function refusalPage({ error, title, hint }: Refusal, back: string): Response {
    const challenge: Record<string, string> = error.status === 401 ? { 'www-authenticate': CHALLENGE } : {};
    const body = html`<p role="alert">${error.message}</p>${hint}${keyForm(back)}`;
    return pageResponse({ title, body, status: error.status, headers: challenge }, random);
  }

  async function actorOf(form: URLSearchParams): Promise<string | Refusal> {
    const token = form.get('token');
    if (token !== null) {
      const actor = isToken(token) ? await access.consumeSignInLink(hashToken(token), clock.now()) : undefined;
      if (actor !== undefined) return actor;
      const error = new AppError('unauthenticated', 'The sign-in link was used already, or it is too old.');
      return { error, title: 'This link no longer works', hint: ANOTHER_LINK };
    }
    const principal = apiKeys.verify(form.get('key')?.trim() ?? '');
    if (principal?.role === 'admin') return principal.actor;
    const title = 'Not signed in';
    if (principal) {
      const error = new AppError('forbidden', 'This key is for agents. The portal needs an admin API key.');
      return { error, title, hint: null };
    }
    return { error: new AppError('unauthenticated', 'The API key is not known.'), title, hint: ANOTHER_LINK };
  }

  return {
    page(request) {
      const { searchParams } = new URL(request.url);
      const back = safePath(searchParams.get('return_to')) ?? '/';
      const token = searchParams.get('token');
      const title = 'Sign in';
      if (isToken(token)) return pageResponse({ title, body: linkForm(token, back), submits: true }, random);
      const body = html`<p>Open the sign-in link that the server printed when it started.</p>${ANOTHER_LINK}${keyForm(back)}`;
      return pageResponse({ title, body }, random);
    },

    async submit(request) {
      // Else another site could sign this browser in as somebody else.
      origins.checkSameOrigin(request, { lenient: true });
      const form = new URLSearchParams(await readText(request, FORM_LIMIT));
      const back = safePath(form.get('return_to')) ?? '/';
      const wantsJson = request.headers.get('accept')?.includes('application/json') ?? false;
      const present = await sessions.read(request);
      const actor = await actorOf(form);
      if (typeof actor !== 'string') {
        if (wantsJson) {
          return problemResponse(actor.error, { challenge: actor.error.status === 401 ? CHALLENGE : undefined });
        }
        // Reloading the page of a used link is no failure for a browser that is signed in.
        if (present && form.has('token')) return redirect(back);
        return refusalPage(actor, back);
      }
      const started = await sessions.start(actor);
      if (present) await sessions.end(present);
      if (!wantsJson) return redirect(back, started.cookie);
      const session: Session = { actor, role: 'admin', expires_at: new Date(started.expires_at).toISOString() };
      return Response.json(session, { headers: { 'set-cookie': started.cookie, 'cache-control': 'no-store' } });
    },
  };
}
