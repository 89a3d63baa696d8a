import { connectionLabel } from '../core/connection.ts';
import { AppError } from '../core/errors.ts';
import { plainHeaders } from '../core/plain-headers.ts';
import type { FetchInit, ToolkitContext } from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';
import { authorizationOf } from './credential-headers.ts';

export type AuthorizedInit = Pick<FetchInit, 'method' | 'headers' | 'body' | 'signal' | 'encoding'> & {
  /**
   * The body once more, for the one retry after a 401; undefined when it is gone. Not asked where `body` is text,
   * bytes or absent: those are sent again as they are.
   */
  again?: () => FetchInit['body'] | undefined;
  /** Told which access token a request carries: whoever shows the answer must be able to find it there. */
  used?: (token: Secret) => void;
};

export type AuthorizedFetch = (url: string | URL, init?: AuthorizedInit) => Promise<Response>;

const TYPED = { url: 'typed' } as const;

/** A 401 is the upstream's answer to our credential, so it is never passed on as if the caller had to sign in. */
function unauthorized(context: ToolkitContext): AppError {
  const label = connectionLabel(context.key);
  const mode = context.config.auth_mode;
  const what: Record<typeof mode, string> = {
    none: `asks for authorization (HTTP 401), and ${label} sends none. Set its auth_mode to oauth and connect it, or give it the credential that the upstream wants.`,
    bearer: `refuses the token of ${label} (HTTP 401). Put a valid one into its field credential.`,
    api_key: `refuses the API key of ${label} (HTTP 401). Put a valid one into its field credential, and check where the upstream expects it.`,
    basic: `refuses the user name or password of ${label} (HTTP 401). Correct its fields username and password.`,
    oauth: `refuses even a newly obtained access token of ${label} (HTTP 401). Its scope, audience or account may not be what the upstream wants: check oauth2_scope and oauth2_resource, then connect it again.`,
  };
  return new AppError('upstream_failed', `The upstream ${what[mode]}`);
}

function renewedTooLate(context: ToolkitContext): AppError {
  const text = `The upstream of ${connectionLabel(context.key)} refused the access token (HTTP 401), which has been renewed. The body was passed on as it came and cannot be sent again from here: send the request again.`;
  return new AppError('unavailable', text, { retry_after: 1 });
}

/** Said here, as the error of the platform would quote the text. */
function notCarried(context: ToolkitContext, what: string): AppError {
  const label = connectionLabel(context.key);
  const told = what === 'access token' ? 'Its authorization server gave a token that' : 'It';
  const text = `The ${what} of ${label} cannot be sent. ${told} holds a character that no HTTP header may carry, such as a line break. Nothing was sent; correct it, or connect ${label} again.`;
  return new AppError('upstream_failed', text);
}

/**
 * The only way to an upstream: adds the credential, obtains a new access token once when the upstream refuses the
 * present one, and never follows a redirect. A request to another origin than the connection's goes out without
 * anything of ours.
 * @throws AppError upstream_failed when the upstream refuses our credential, unavailable when it would take the renewed
 * one but the body is gone, and whatever `context.accessToken` throws; EgressError.
 */
export function createAuthorizedFetch(context: ToolkitContext, origin: string): AuthorizedFetch {
  const withToken = context.config.auth_mode === 'oauth';
  const authorization = authorizationOf(context.config);

  function send(url: URL, init: AuthorizedInit, token: Secret | undefined): Promise<Response> {
    const { method = 'GET', headers, body, signal, encoding } = init;
    if (token) init.used?.(token);
    const ours = url.origin === origin;
    const what = ours ? authorization.uncarried(token) : undefined;
    if (what) throw notCarried(context, what);
    const given = plainHeaders(headers);
    const request: FetchInit = {
      method,
      headers: ours ? authorization.headers(given, token) : given,
      redirect: 'manual',
      trust: TYPED,
    };
    if (body !== undefined) request.body = body;
    if (signal) request.signal = signal;
    if (encoding) request.encoding = encoding;
    return context.fetch(ours ? authorization.url(url) : url, request);
  }

  return async (address, init = {}) => {
    const { signal } = init;
    const url = typeof address === 'string' ? new URL(address) : address;
    const token = withToken ? await context.accessToken({ ...(signal ? { signal } : {}) }) : undefined;
    let response = await send(url, init, token);
    if (response.status === 401 && token) {
      await response.body?.cancel();
      const fresh = await context.accessToken({ rejected: token, ...(signal ? { signal } : {}) });
      if (fresh.equals(token)) throw unauthorized(context);
      const body = init.body instanceof ReadableStream ? init.again?.() : init.body;
      if (init.body !== undefined && body === undefined) throw renewedTooLate(context);
      response = await send(url, { ...init, ...(body === undefined ? {} : { body }) }, fresh);
    }
    if (response.status === 401) {
      await response.body?.cancel();
      throw unauthorized(context);
    }
    return response;
  };
}
