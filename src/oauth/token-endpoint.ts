import type { ErrorClass } from '../core/auth-event.ts';
import { safeErrorCode } from '../core/auth-event.ts';
import type { Clock, Fetch, Random, RevocationReply, TokenRequestClient } from '../core/ports.ts';
import { EgressError } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import type { TokenReply } from '../core/token-response.ts';
import { authenticateClient } from './client-authentication.ts';
import { readLimited } from './limited-body.ts';

type Tools = { fetch: Fetch; clock: Clock; random: Random };

/** A week: a longer wait is a mistake, and the pause that follows from it is bounded by less. */
const MAX_RETRY_AFTER_S = 604_800;

/** The three forms of HTTP dates, by their beginnings: `Date.parse` takes «1.5» and «soon 5» for dates, too. */
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +[\dA-Z]/;

/**
 * Seconds to wait, from either form of the header; null when absent or unreadable.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterSeconds(header: string | null, now: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_RETRY_AFTER_S);
  if (!HTTP_DATE.test(text)) return null;
  // The oldest form (asctime) names no zone: it is UTC like the others.
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? null : Math.min(Math.max(0, Math.ceil((at - now) / 1000)), MAX_RETRY_AFTER_S);
}

function mediaType(response: Response): string {
  return (response.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

function broken(error: unknown): TokenReply {
  // Anything that is not a told failure of the way out proves nothing, so it counts as sent.
  if (!(error instanceof EgressError)) return { type: 'unknown', error_class: 'reset' };
  const { phase, reason } = error;
  if (phase === 'not_sent') {
    const told = reason === 'dns' || reason === 'tls' || reason === 'egress_refused';
    return { type: 'not_sent', error_class: told ? reason : 'connect' };
  }
  return { type: 'unknown', error_class: reason === 'timeout' || reason === 'aborted' ? 'timeout' : 'reset' };
}

function isWholeJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

async function readReply(response: Response, now: number): Promise<TokenReply> {
  const body = await readLimited(response);
  if (body.type === 'too_large') return { type: 'unknown', error_class: 'unreadable' };
  // JSON says by itself where it ends: a whole one is the answer, however the connection died after it.
  if (!body.complete && !isWholeJson(body.text)) {
    const reply = broken(body.cause);
    return reply.type === 'unknown' ? reply : { type: 'unknown', error_class: 'reset' };
  }
  return {
    type: 'answer',
    status: response.status,
    media_type: mediaType(response),
    retry_after: retryAfterSeconds(response.headers.get('retry-after'), now),
    body: new Secret(body.text),
  };
}

/**
 * One POST to an endpoint that knows the client, on a connection of its own; never retried, redirects not followed.
 * oauth4webapi could build it, but percent-encodes more of a Basic secret than non-decoding servers bear, insists on
 * TLS inside private networks, and has nothing for the raw form.
 */
async function postForm(
  tools: Tools,
  client: TokenRequestClient,
  request: {
    url: string;
    fields: Record<string, string | null>;
    accept?: string;
    listen_ms: number;
    origin_of_trust: string;
  },
): Promise<Response> {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(request.fields)) if (value !== null) form.set(name, value);
  const ca = client.binding.tls_ca_bundle_pem;
  const authentication = authenticateClient(tools, client, form);
  return await tools.fetch(request.url, {
    method: 'POST',
    headers: {
      accept: request.accept ?? 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...authentication,
    },
    body: form.toString(),
    redirect: 'manual',
    connection: 'fresh',
    signal: tools.clock.timeout(request.listen_ms),
    trust: { url: 'discovered', origin_of_trust: request.origin_of_trust },
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
}

/** Sends a grant. Never rejects: how an exchange broke is part of the answer. */
export async function tokenRequest(
  tools: Tools,
  client: TokenRequestClient,
  request: { fields: Record<string, string | null>; accept?: string; listen_ms: number; origin_of_trust: string },
): Promise<TokenReply> {
  try {
    const response = await postForm(tools, client, { ...request, url: client.binding.token_endpoint });
    return await readReply(response, tools.clock.now());
  } catch (error) {
    return broken(error);
  }
}

const REVOCATION_TIMEOUT_MS = 10_000;

type RevocationFailure = Extract<RevocationReply, { type: 'failed' }>;

function failed(error_class: ErrorClass, more: Partial<RevocationFailure> = {}): RevocationFailure {
  return { type: 'failed', error_class, idp_error_code: null, http_status: null, retry_after: null, ...more };
}

/** The body matters only for its error code; what is too large or no JSON has none. */
async function errorCodeOf(response: Response): Promise<string | null> {
  const body = await readLimited(response);
  if (body.type === 'too_large') return null;
  try {
    const fields: unknown = JSON.parse(body.text);
    const error = typeof fields === 'object' && fields !== null && 'error' in fields ? fields.error : null;
    return typeof error === 'string' && error !== '' ? safeErrorCode(error) : null;
  } catch {
    return null;
  }
}

async function readRevocation(response: Response, now: number): Promise<RevocationReply> {
  const { status } = response;
  if (status >= 200 && status < 300) {
    await response.body?.cancel();
    return { type: 'revoked' };
  }
  const idp_error_code = await errorCodeOf(response);
  if (idp_error_code === 'unsupported_token_type') {
    return { type: 'unsupported', idp_error_code, http_status: status };
  }
  const told = idp_error_code === null ? 'unreadable' : 'structured';
  const error_class = status === 429 ? 'rate_limited' : status >= 500 ? 'server_error' : told;
  const retry_after = retryAfterSeconds(response.headers.get('retry-after'), now);
  return failed(error_class, { idp_error_code, http_status: status, retry_after });
}

/** @see https://www.rfc-editor.org/rfc/rfc7009#section-2 */
export async function revocationRequest(
  tools: Tools,
  client: TokenRequestClient,
  request: { token: Secret; token_type_hint: string; origin_of_trust: string },
): Promise<RevocationReply> {
  const url = client.binding.revocation_endpoint;
  if (url === null) return { type: 'unsupported', idp_error_code: null, http_status: null };
  try {
    const response = await postForm(tools, client, {
      url,
      fields: { token: request.token.reveal(), token_type_hint: request.token_type_hint },
      listen_ms: REVOCATION_TIMEOUT_MS,
      origin_of_trust: request.origin_of_trust,
    });
    return await readRevocation(response, tools.clock.now());
  } catch (error) {
    const reply = broken(error);
    return failed(reply.type === 'answer' ? 'unreadable' : reply.error_class);
  }
}
