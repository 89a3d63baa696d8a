export type CookieNames = { session: string; binding: string; secure: boolean };

/**
 * Cookies know hosts but no ports: without the port in the name, two servers on one loopback would overwrite each
 * other's. Under https the `__Host-` prefix keeps sibling domains from setting them.
 * @see https://www.rfc-editor.org/rfc/rfc6265#section-8.5
 */
export function cookieNames(publicUrl: string): CookieNames {
  const url = new URL(publicUrl);
  if (url.protocol === 'https:') return { session: '__Host-mdp_session', binding: '__Host-mdp_browser', secure: true };
  const port = url.port || '80';
  return { session: `mdp_session_${port}`, binding: `mdp_browser_${port}`, secure: false };
}

export function readCookie(request: Request, name: string): string | null {
  for (const pair of request.headers.get('cookie')?.split(';') ?? []) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}

/** Lax, not Strict: the browser comes back from the identity provider by a link, and must bring its cookies. */
export function setCookie(name: string, value: string, options: { max_age: number; secure: boolean }): string {
  const secure = options.secure ? '; Secure' : '';
  return `${name}=${value}; Path=/; Max-Age=${options.max_age}; HttpOnly; SameSite=Lax${secure}`;
}
