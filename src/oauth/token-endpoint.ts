import type { Clock, Fetch, TokenRequestClient } from '../core/ports.ts';
import { EgressError } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import type { TokenReply } from '../core/token-response.ts';
import { authenticateClient } from './client-authentication.ts';
import { readLimited } from './limited-body.ts';

type Tools = { fetch: Fetch; clock: Clock };

/**
 * Seconds to wait, from either form of the header; null when absent or unreadable.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterSeconds(header: string | null, now: number): number | null {
  if (header === null || header.trim() === '') return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - now) / 1000));
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
  { fetch, clock }: Tools,
  client: TokenRequestClient,
  request: { url: string; fields: Record<string, string | null>; listen_ms: number; origin_of_trust: string },
): Promise<Response> {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(request.fields)) if (value !== null) form.set(name, value);
  const authentication = authenticateClient(client, form);
  return await fetch(request.url, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...authentication,
    },
    body: form.toString(),
    redirect: 'manual',
    connection: 'fresh',
    signal: clock.timeout(request.listen_ms),
    trust: { url: 'discovered', origin_of_trust: request.origin_of_trust },
  });
}

/** Sends a grant. Never rejects: how an exchange broke is part of the answer. */
export async function tokenRequest(
  tools: Tools,
  client: TokenRequestClient,
  request: { fields: Record<string, string | null>; listen_ms: number; origin_of_trust: string },
): Promise<TokenReply> {
  try {
    const response = await postForm(tools, client, { ...request, url: client.binding.token_endpoint });
    return await readReply(response, tools.clock.now());
  } catch (error) {
    return broken(error);
  }
}

const REVOCATION_TIMEOUT_MS = 10_000;

/**
 * @returns true when the server confirmed; a server without revocation, or one that failed, gives false.
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2
 */
export async function revocationRequest(
  tools: Tools,
  client: TokenRequestClient,
  request: { token: Secret; token_type_hint: string; origin_of_trust: string },
): Promise<boolean> {
  const url = client.binding.revocation_endpoint;
  if (url === null) return false;
  try {
    const response = await postForm(tools, client, {
      url,
      fields: { token: request.token.reveal(), token_type_hint: request.token_type_hint },
      listen_ms: REVOCATION_TIMEOUT_MS,
      origin_of_trust: request.origin_of_trust,
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 300;
  } catch {
    return false;
  }
}
