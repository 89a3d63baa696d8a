// What a person does in a browser, done over HTTP: follow redirects, keep cookies, fill in and send the forms.

const MOST_HOPS = 25;

/** @typedef {{ action: string, fields: Map<string, string>, hasPassword: boolean, decisions: string[] }} Form */

/**
 * Walks from an authorization URL through the identity provider's login form and consent form to the page where the
 * redirects end, which is the application's callback or what that leads to. `authorizationUrl` may be a page of the
 * application that sets a cookie and redirects. `cookie` is a Cookie header that the browser already has for it;
 * `application` names another address that the browser has a cookie for.
 *
 * @param {{ authorizationUrl: string | URL, username: string, password: string, cookie?: string, application?: { url: string, cookie: string } }} person
 * @returns {Promise<{ url: string, status: number, body: string }>}
 */
export async function submitLogin({ authorizationUrl, username, password, cookie, application }) {
  const jar = createCookieJar();
  let url = new URL(authorizationUrl);
  /** @type {URLSearchParams | undefined} */
  let form;
  let signedIn = false;
  for (const pair of cookie?.split(/; */) ?? []) jar.store(url, `${pair}; Path=/`);
  for (const pair of application?.cookie.split(/; */) ?? [])
    jar.store(new URL(application?.url ?? url), `${pair}; Path=/`);

  for (let hop = 0; hop < MOST_HOPS; hop += 1) {
    const answer = await fetch(url, {
      method: form === undefined ? 'GET' : 'POST',
      body: form,
      redirect: 'manual',
      headers: { accept: 'text/html', ...jar.header(url) },
    });
    for (const line of answer.headers.getSetCookie()) jar.store(url, line);
    form = undefined;
    const location = answer.headers.get('location');
    const body = await answer.text();
    if (location !== null && answer.status >= 300 && answer.status < 400) {
      url = new URL(location, url);
      continue;
    }
    const next = providerForm(url, body);
    if (next === undefined) return { url: url.href, status: answer.status, body };
    if (next.hasPassword && signedIn) throw new Error(`${url.origin} refused the username or the password`);
    signedIn ||= next.hasPassword;
    form = fillIn(next, { username, password });
    url = new URL(next.action, url);
  }
  throw new Error(`sign-in did not end after ${MOST_HOPS} steps, at ${url.origin}${url.pathname}`);
}

/** A page is the provider's when its form asks for a password or for a decision. @param {URL} url @param {string} html @returns {Form | undefined} */
function providerForm(url, html) {
  for (const [, tag = '', content = ''] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
    const inputs = [...content.matchAll(/<input\b([^>]*)>/gi)].map(([, attributes = '']) => attributesOf(attributes));
    const buttons = [...content.matchAll(/<button\b([^>]*)>/gi)].map(([, attributes = '']) => attributesOf(attributes));
    const hasPassword = inputs.some((input) => input.get('type') === 'password');
    const decisions = buttons
      .filter((button) => button.get('name') === 'decision')
      .map((button) => button.get('value') ?? '');
    if (!hasPassword && decisions.length === 0) continue;
    const fields = new Map(inputs.map((input) => [input.get('name') ?? '', input.get('value') ?? '']));
    return { action: attributesOf(tag).get('action') ?? url.href, fields, hasPassword, decisions };
  }
  return undefined;
}

/** @param {Form} form @param {{ username: string, password: string }} person */
function fillIn({ fields, hasPassword, decisions }, { username, password }) {
  const filled = new URLSearchParams([...fields].filter(([name]) => name !== ''));
  if (hasPassword) {
    filled.set('username', username);
    filled.set('password', password);
  }
  if (decisions.includes('allow')) filled.set('decision', 'allow');
  return filled;
}

const entities = new Map([
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#39;', "'"],
]);

/** @param {string} text @returns {Map<string, string>} */
function attributesOf(text) {
  const found = text.matchAll(/([a-z-]+)(?:\s*=\s*"([^"]*)")?/gi);
  return new Map(
    [...found].map(([, name = '', value = '']) => [
      name.toLowerCase(),
      value.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities.get(entity) ?? entity),
    ]),
  );
}

/** Cookies per origin and path. Browsers share them between the ports of a host; two programs on loopback must not need that. */
function createCookieJar() {
  /** @type {Map<string, { origin: string, path: string, name: string, value: string }>} */
  const cookies = new Map();
  return {
    /** @param {URL} url @param {string} line a Set-Cookie value */
    store(url, line) {
      const [pair = '', ...rest] = line.split(/; */);
      const at = pair.indexOf('=');
      if (at < 1) return;
      const attributes = new Map(
        rest.map((part) => {
          const [name = '', ...value] = part.split('=');
          return [name.toLowerCase(), value.join('=')];
        }),
      );
      const path = attributes.get('path') || '/';
      const name = pair.slice(0, at);
      const key = `${url.origin} ${path} ${name}`;
      const maxAge = attributes.get('max-age');
      const over =
        maxAge === undefined ? Date.parse(attributes.get('expires') ?? '') <= Date.now() : Number(maxAge) <= 0;
      if (over) cookies.delete(key);
      else cookies.set(key, { origin: url.origin, path, name, value: pair.slice(at + 1) });
    },
    /** @param {URL} url @returns {Record<string, string>} */
    header(url) {
      const covers = (/** @type {string} */ path) =>
        url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
      const sent = [...cookies.values()].filter((cookie) => cookie.origin === url.origin && covers(cookie.path));
      return sent.length === 0 ? {} : { cookie: sent.map(({ name, value }) => `${name}=${value}`).join('; ') };
    },
  };
}
