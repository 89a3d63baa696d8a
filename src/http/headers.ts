/** Sets headers of a response: in place, but for the few that are immutable, as a redirect is. */
export function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  try {
    for (const name in headers) response.headers.set(name, headers[name] ?? '');
    return response;
  } catch {
    const { status, statusText, body } = response;
    return new Response(body, { status, statusText, headers: { ...Object.fromEntries(response.headers), ...headers } });
  }
}

/** What every response says to browsers. @see https://owasp.org/www-project-secure-headers/ */
export function securityHeaders(publicUrl: string): Readonly<Record<string, string>> {
  const all: Record<string, string> = {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    // Not no-referrer: with it, browsers send `Origin: null` for our own forms.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  };
  if (publicUrl.startsWith('https:')) all['strict-transport-security'] = 'max-age=31536000';
  return all;
}

/** Adds headers where the response has none of that name. */
export function withMissing(response: Response, headers: Readonly<Record<string, string>>): Response {
  const missing = Object.entries(headers).filter(([name]) => !response.headers.has(name));
  return withHeaders(response, Object.fromEntries(missing));
}
