// The identity provider's two pages. Plain HTML forms, one inline style sheet, nothing fetched from elsewhere.
import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --ink: #1a2233; --soft: #5a6478; --page: #eef1f6; --card: #fff; --line: #c6cdd9; --act: #1f4fd1; --on-act: #fff; --bad: #a61b1b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf4; --soft: #a9b3c6; --page: #10141d; --card: #1a2030; --line: #3b4560; --act: #8fb0ff; --on-act: #0b1530; --bad: #ff9d9d; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: min(26rem, calc(100vw - 2rem)); margin: 1rem; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
.brand { margin: 0 0 1.25rem; color: var(--soft); font-size: .875rem; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
p { margin: 0 0 1rem; } ul { margin: 0 0 1.25rem; padding-left: 1.25rem; }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; }
input { width: 100%; padding: .6rem .75rem; font: inherit; color: inherit; background: transparent; border: 1px solid var(--soft); border-radius: 8px; }
.row { display: flex; gap: .75rem; margin-top: 1.5rem; }
button { flex: 1; padding: .65rem 1rem; font: inherit; font-weight: 600; border-radius: 8px; border: 1px solid var(--act); background: var(--act); color: var(--on-act); cursor: pointer; }
button.quiet { background: transparent; color: var(--ink); border-color: var(--soft); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
[role=alert] { color: var(--bad); font-weight: 600; } code { overflow-wrap: anywhere; }
`;

// No form-action: browsers apply it to the redirects after a submit too, and those lead to the client's callback.
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
/** @param {unknown} text */
const safe = (text) => String(text).replace(/[&<>"']/g, (sign) => escapes[/** @type {'&'} */ (sign)]);

/** What a person reads for a scope. Others are shown by their name. */
const SCOPES = new Map([
  ['openid', 'Know who you are'],
  ['profile', 'Read your name'],
  ['email', 'Read your e-mail address'],
  ['mcp', 'Use the tools of the demo server'],
  ['offline_access', 'Stay connected while you are away'],
]);

/**
 * @param {import('node:http').ServerResponse} res
 * @param {number} status
 * @param {string} title
 * @param {string} content
 */
export function sendPage(res, status, title, content) {
  res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': POLICY,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  res.end(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${safe(title)} – Demo identity provider</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="brand">Demo identity provider</p>
${content}
</main>
</body>
</html>`);
}

/** @param {{ action: string, client: string, username?: string, refused?: boolean }} facts */
export function loginPage({ action, client, username = '', refused = false }) {
  return `<h1>Sign in</h1>
<p>to continue to <strong>${safe(client)}</strong></p>
${refused ? '<p role="alert" id="refused">This username and password do not match. Try again.</p>' : ''}
<form method="post" action="${safe(action)}">
<label for="username">Username</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" required${refused ? '' : ' autofocus'} value="${safe(username)}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required${refused ? ' autofocus aria-describedby="refused"' : ''}>
<div class="row"><button type="submit">Sign in</button></div>
</form>`;
}

/** @param {{ action: string, client: string, account: string, destination: string, scopes: string[], resources: string[] }} facts */
export function consentPage({ action, client, account, destination, scopes, resources }) {
  const wishes = scopes.map((scope) => `<li>${safe(SCOPES.get(scope) ?? scope)}</li>`).join('');
  const where = resources.map((resource) => `<code>${safe(resource)}</code>`).join(', ');
  return `<h1>Allow ${safe(client)}?</h1>
<p>Signed in as <strong>${safe(account)}</strong>. This application asks to:</p>
<ul>${wishes}</ul>
${where === '' ? '' : `<p>at ${where}</p>`}
<p>You will return to <code>${safe(destination)}</code>.</p>
<form method="post" action="${safe(action)}">
<div class="row">
<button class="quiet" type="submit" name="decision" value="deny">Deny</button>
<button type="submit" name="decision" value="allow">Allow</button>
</div>
</form>`;
}

/** @param {string} title @param {string} sentence */
export function errorPage(title, sentence) {
  return `<h1>${safe(title)}</h1>\n<p role="alert">${safe(sentence)}</p>`;
}
