import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import type { Secret } from '../../core/redact.ts';

/** The shape of `fetch` that the SDK's transport asks for. */
export type UpstreamFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

const DEFAULT_API_KEY_HEADER = 'X-API-Key';

/** A body that is not a stream of events and larger than this is refused: it would be held in memory at once. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

function basicCredentials(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/**
 * Puts the connection's credential on one request. Only static headers, ours and the transport's ever reach the
 * upstream: nothing that a caller sent.
 */
function authorize(context: ToolkitContext, url: URL, headers: Headers, token: Secret | undefined): void {
  const { config } = context;
  if (config.auth_mode === 'bearer') headers.set('Authorization', `Bearer ${config.credential ?? ''}`);
  if (config.auth_mode === 'basic') {
    headers.set('Authorization', basicCredentials(config.username ?? '', config.password ?? ''));
  }
  if (config.auth_mode === 'api_key') {
    if (config.api_key_placement === 'query' && config.api_key_param) {
      url.searchParams.set(config.api_key_param, config.credential ?? '');
    } else headers.set(config.api_key_header ?? DEFAULT_API_KEY_HEADER, config.credential ?? '');
  }
  if (token) headers.set('Authorization', `Bearer ${token.reveal()}`);
}

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

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** A stream of events may last for ever, one event may not: its parser keeps it whole until the blank line behind it. */
function eventLimit(): TransformStream<Uint8Array, Uint8Array> {
  /** Bytes since the last blank line, and since the last line feed. */
  let event = 0;
  let line = 0;
  let last = 0;
  return new TransformStream({
    transform(chunk, controller) {
      let from = 0;
      for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
        line += at - from;
        const before = at > 0 ? chunk[at - 1] : last;
        const blank = line === 0 || (line === 1 && before === CARRIAGE_RETURN);
        event = blank ? 0 : event + line + 1;
        line = 0;
        from = at + 1;
      }
      line += chunk.length - from;
      last = chunk.at(-1) ?? last;
      if (event + line > MAX_BODY_BYTES) controller.error(tooLarge());
      else controller.enqueue(chunk);
    },
  });
}

function bounded(response: Response): Response {
  const type = response.headers.get('content-type') ?? '';
  if (!response.body) return response;
  if (type.includes('text/event-stream')) return new Response(response.body.pipeThrough(eventLimit()), response);
  const declared = response.headers.get('content-length');
  if (declared !== null && !response.headers.has('content-encoding') && Number(declared) <= MAX_BODY_BYTES) {
    return response;
  }
  let seen = 0;
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      seen += chunk.byteLength;
      if (seen > MAX_BODY_BYTES) controller.error(tooLarge());
      else controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(limit), response);
}

function tooLarge(): AppError {
  return new AppError('upstream_failed', `The upstream's answer is larger than ${MAX_BODY_BYTES / 1024 / 1024} MiB.`);
}

/**
 * The only way to the upstream: adds the credential, obtains a new access token once when the upstream refuses the
 * present one, and never follows a redirect. The transport follows one itself where it stays within the origin; a
 * request to another origin goes out without any credential of ours.
 */
export function createUpstreamFetch(context: ToolkitContext, endpoint: URL): UpstreamFetch {
  const withToken = context.config.auth_mode === 'oauth';

  async function send(url: string | URL, init: RequestInit, token: Secret | undefined): Promise<Response> {
    const target = new URL(url);
    const headers = new Headers(init.headers);
    if (target.origin === endpoint.origin) {
      for (const [name, value] of Object.entries(context.config.static_headers ?? {})) {
        if (!headers.has(name)) headers.set(name, value);
      }
      authorize(context, target, headers, token);
    }
    return context.fetch(target, {
      method: init.method ?? 'GET',
      headers,
      ...(typeof init.body === 'string' ? { body: init.body } : {}),
      ...(init.signal ? { signal: init.signal } : {}),
      redirect: 'manual',
      trust: { url: 'typed' },
    });
  }

  return async (url, init = {}) => {
    const signal = init.signal ?? undefined;
    const token = withToken ? await context.accessToken({ signal }) : undefined;
    let response = await send(url, init, token);
    if (response.status === 401 && token) {
      await response.body?.cancel();
      const fresh = await context.accessToken({ rejected: token, signal });
      if (fresh.equals(token)) throw unauthorized(context);
      response = await send(url, init, fresh);
    }
    if (response.status === 401) {
      await response.body?.cancel();
      throw unauthorized(context);
    }
    return bounded(response);
  };
}
