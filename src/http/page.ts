import type { Random } from '../core/ports.ts';

/** Markup that is safe to send as it is. Only `html` makes it. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

/** A template whose values are escaped, unless they are markup themselves. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | null)[]): Html {
  const shown = values.map((value) => (value instanceof Html ? value.markup : escapeHtml(value ?? '')));
  return new Html(parts.map((part, index) => part + (shown[index] ?? '')).join(''));
}

/** The colours of the portal's theme, so that its pages and these are one place. */
const STYLE = `
:root { color-scheme: light dark; --canvas: light-dark(#f6f7f9, #101317); --surface: light-dark(#fff, #181c22);
  --line: light-dark(#dde1e7, #2b323b); --line-strong: light-dark(#868f9c, #6b7684); --ink: light-dark(#171a20, #e9ecf0);
  --soft: light-dark(#545d6b, #a6b0bc); --accent: light-dark(#1d4f91, #8ebcff); --on-accent: light-dark(#fff, #0d1b2e); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; padding: 1.5rem; background: var(--canvas);
  color: var(--ink); font: 15px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: min(34rem, 100%); padding: 1.75rem; background: var(--surface); border: 1px solid var(--line);
  border-radius: 0.75rem; }
h1 { margin: 0 0 0.75rem; font-size: 1.25rem; line-height: 1.3; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
.brand, .code { color: var(--soft); font-size: 0.85rem; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.9em; }
a { color: var(--accent); }
label { display: block; margin-bottom: 0.25rem; font-weight: 600; }
input { width: 100%; margin-bottom: 1rem; padding: 0.55rem 0.7rem; font: inherit; color: inherit;
  background: var(--canvas); border: 1px solid var(--line-strong); border-radius: 0.5rem; }
button { padding: 0.55rem 1.1rem; font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent);
  border: 0; border-radius: 0.5rem; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }`;

/**
 * Sends the page's form by itself once a person looks at the page. A previewer that only fetches the address, or a
 * browser that renders it ahead of time, uses nothing up.
 */
const SUBMIT_WHEN_SEEN = `
const send = () => { if (document.visibilityState === 'visible' && !document.prerendering) {
  document.removeEventListener('visibilitychange', send); document.querySelector('form').requestSubmit(
    document.querySelector('form button')); } };
document.addEventListener('visibilitychange', send); document.addEventListener('prerenderingchange', send); send();`;

export type Page = {
  title: string;
  body: Html;
  status?: number;
  /** The form is sent without a click. */
  submits?: boolean;
  /** Browsers hold `form-action` against the redirects after a submit, so a form that leads to other sites has none. */
  form_leads_elsewhere?: boolean;
  headers?: Record<string, string>;
};

/** One of our few pages without the portal: plain, readable without scripts, never cached, never framed. */
export function pageResponse(page: Page, random: Random): Response {
  const nonce = Buffer.from(random.bytes(16)).toString('base64');
  const policy = [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    ...(page.submits ? [`script-src 'nonce-${nonce}'`] : []),
    ...(page.form_leads_elsewhere ? [] : ["form-action 'self'"]),
    "img-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  const script = page.submits ? new Html(`<script nonce="${nonce}">${SUBMIT_WHEN_SEEN}</script>`) : null;
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${page.title} · MCP Data Platform</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<style nonce="${nonce}">${new Html(STYLE)}</style>
</head>
<body>
<main>
<p class="brand">MCP Data Platform</p>
<h1>${page.title}</h1>
${page.body}
</main>
${script}</body>
</html>
`;
  return new Response(document.markup, {
    status: page.status ?? 200,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': policy.join('; '),
      ...page.headers,
    },
  });
}

/** 303: whatever the method was, the next one is GET. */
export function redirect(location: string, cookie?: string): Response {
  const headers = new Headers({ location, 'cache-control': 'no-store' });
  if (cookie) headers.append('set-cookie', cookie);
  return new Response(null, { status: 303, headers });
}
