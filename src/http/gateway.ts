import { AppError } from '../core/errors.ts';
import type { PlainRequest } from '../core/ports.ts';
import type { Passthrough } from '../flows/passthrough.ts';
import type { Mount } from './deps.ts';
import { withHeaders } from './headers.ts';

export const GATEWAY_PATH = '/api/v1/gateway';

/** A page of an upstream that a browser shows from our address may do nothing there. */
const CONTENT_SECURITY_POLICY = "sandbox; default-src 'none'";

/** Addresses below the upstream's base are told as `/…`: where our caller finds them is known here. */
function ourAddresses(headers: Headers, prefix: string): Record<string, string> {
  const changed: Record<string, string> = { 'content-security-policy': CONTENT_SECURITY_POLICY };
  for (const name of ['location', 'content-location']) {
    const value = headers.get(name);
    if (value?.startsWith('/')) changed[name] = prefix + value;
  }
  const link = headers.get('link');
  if (link !== null) changed.link = link.replaceAll('</', `<${prefix}/`);
  return changed;
}

/** The same request for another URL. Its body stays untouched until somebody asks for it. */
function at(url: string, request: Request): PlainRequest {
  return {
    method: request.method,
    url,
    headers: request.headers,
    signal: request.signal,
    get body() {
      return request.body;
    },
    arrayBuffer: () => request.arrayBuffer(),
  };
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
      const asked = at(`http://connection.invalid${rest}${search}`, request);
      const response = await passthrough.handle(principal, name, asked);
      return withHeaders(response, ourAddresses(response.headers, `${GATEWAY_PATH}/${name}`));
    },
  };
}
