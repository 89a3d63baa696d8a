import { ERROR_TABLE, type ErrorCode } from '../core/errors.ts';
import type { Random } from '../core/ports.ts';
import type { AuthorizeFlow, ConsentStarted } from '../flows/api.ts';
import { type CookieNames, readCookie, setCookie } from './cookies.ts';
import { type OriginRules, safePath } from './origin.ts';
import { html, pageResponse, redirect } from './page.ts';
import { isToken, randomToken } from './sessions.ts';

export type Consent = {
  /** Ties the started flow to the browser of this session, or leads by way of our page to one that has no cookie yet. */
  hand(
    request: Request,
    started: ConsentStarted,
    browser: boolean,
  ): Promise<{ consent: ConsentStarted; cookie?: string }>;
  /** `/connect/{state}`: uses nothing up, so that a previewer of the address does not become the bound browser. */
  connectPage(state: string): Response;
  /** The page's form: binds this browser, then leads to the provider. */
  connect(request: Request, state: string): Promise<Response>;
  callback(request: Request): Promise<Response>;
};

export type ConsentDeps = {
  authorize: AuthorizeFlow;
  origins: OriginRules;
  random: Random;
  names: CookieNames;
  publicUrl: string;
};

/** Longer than a state lives, since several flows of one browser share the cookie. */
const BINDING_LIFETIME_S = 3_600;
const STATE = /^[A-Za-z0-9_-]{22,128}$/;

/** What the browser or the person did; anything else went wrong between the servers. */
const AT_THE_BROWSER = new Set([
  'access_denied',
  'missing_code',
  'missing_issuer',
  'repeated_parameter',
  'state_unknown',
  'superseded',
  'wrong_issuer',
]);

function statusOf(code: string): number {
  if (AT_THE_BROWSER.has(code)) return 400;
  return Object.hasOwn(ERROR_TABLE, code) ? ERROR_TABLE[code as ErrorCode].status : 502;
}

function withConnected(path: string): string {
  const url = new URL(path, 'http://site.invalid');
  url.searchParams.set('connected', '1');
  return url.pathname + url.search + url.hash;
}

export function createConsent(deps: ConsentDeps): Consent {
  const { authorize, origins, random, names, publicUrl } = deps;

  /** The cookie is kept, so that two flows in two tabs of one browser do not undo each other. */
  function bindingOf(request: Request): { binding: string; cookie: string } {
    const present = readCookie(request, names.binding);
    const binding = isToken(present) ? present : randomToken(random);
    return {
      binding,
      cookie: setCookie(names.binding, binding, { max_age: BINDING_LIFETIME_S, secure: names.secure }),
    };
  }

  function overPage(): Response {
    const body = html`<p role="alert">It was used already, is older than ten minutes, or was opened in another browser first.
Nothing was changed. Start the connection again to get a new address.</p><p><a href="/">To the connections</a></p>`;
    return pageResponse({ title: 'This address is no longer valid', body, status: 400 }, random);
  }

  return {
    async hand(request, started, browser) {
      if (browser && origins.isAtPublicHost(request)) {
        const { binding, cookie } = bindingOf(request);
        if (await authorize.bind(started.state, binding)) return { consent: started, cookie };
      }
      // Bound where the provider sends the browser back to: a cookie of another host would be missing there.
      const authorization_url = new URL(`/connect/${started.state}`, publicUrl).href;
      return { consent: { ...started, authorization_url } };
    },

    connectPage(state) {
      if (!STATE.test(state)) return overPage();
      const body = html`<p>You are about to sign in at an identity provider, so that this server may use the connection with
the account that you choose there.</p>
<form method="post" action="/connect/${state}">
<button name="decision" value="allow">Continue</button>
</form>`;
      return pageResponse({ title: 'Connect', body, submits: true, form_leads_elsewhere: true }, random);
    },

    async connect(request, state) {
      origins.checkSameOrigin(request, { lenient: true });
      const { binding, cookie } = bindingOf(request);
      const bound = STATE.test(state) ? await authorize.bind(state, binding) : undefined;
      return bound ? redirect(bound.authorization_url, cookie) : overPage();
    },

    async callback(request) {
      const result = await authorize.callback(new URL(request.url).searchParams, readCookie(request, names.binding));
      if (result.ok) return redirect(withConnected(safePath(result.return_url) ?? '/'));
      const back = safePath(result.return_url);
      const code = /^[\w.:-]{1,64}$/.test(result.code) ? result.code : 'unrecognised';
      const body = html`<p role="alert">${result.message}</p>
<p><a href="${back ?? '/'}">${back ? 'Back to the connection' : 'To the connections'}</a></p>
<p class="code">Code: <code>${code}</code></p>`;
      return pageResponse({ title: result.title, body, status: statusOf(result.code) }, random);
    },
  };
}
