import { AppError } from '../core/errors.ts';
import type { Passthrough } from '../flows/passthrough.ts';
import type { Mount } from './deps.ts';

export const GATEWAY_PATH = '/api/v1/gateway';

/** A page of an upstream that a browser shows from our address may do nothing there. */
const CONTENT_SECURITY_POLICY = "sandbox; default-src 'none'";

/** Addresses below the upstream's base are told as `/…`: where our caller finds them is known here. */
function withOurAddresses(headers: Headers, prefix: string): Headers {
  const changed = new Headers(headers);
  for (const name of ['location', 'content-location']) {
    const value = headers.get(name);
    if (value?.startsWith('/')) changed.set(name, prefix + value);
  }
  const link = headers.get('link');
  if (link !== null) changed.set('link', link.replaceAll('</', `<${prefix}/`));
  changed.set('content-security-policy', CONTENT_SECURITY_POLICY);
  return changed;
}

/** Plain HTTP for programs: `/api/v1/gateway/{connection}/…` is the upstream's `/…`. */
export function createGateway(passthrough: Passthrough): Mount {
  return {
    path: GATEWAY_PATH,
    deep: true,
    async handle(request, principal) {
      const { pathname, search } = new URL(request.url);
      const below = pathname.slice(GATEWAY_PATH.length + 1);
      const slash = below.indexOf('/');
      const name = slash < 0 ? below : below.slice(0, slash);
      const rest = slash < 0 ? '/' : below.slice(slash);
      if (name === '') {
        throw new AppError('not_found', `Name a connection: ${GATEWAY_PATH}/{connection}/… is the path of its API.`);
      }
      const { method, headers, body, signal } = request;
      const asked = new Request(new URL(`http://connection.invalid${rest}${search}`), {
        method,
        headers,
        signal,
        ...(body === null ? {} : { body, duplex: 'half' as const }),
      });
      const response = await passthrough.handle(principal, name, asked);
      const { status, statusText } = response;
      const returned = withOurAddresses(response.headers, `${GATEWAY_PATH}/${name}`);
      return new Response(response.body, { status, statusText, headers: returned });
    },
  };
}
