import { connectionLabel } from '../../core/connection.ts';
import type { ToolkitCall, ToolkitContext } from '../../core/ports.ts';
import { EgressError } from '../../core/ports.ts';
import type { Secret } from '../../core/redact.ts';
import type { AuthorizedFetch } from '../authorized-fetch.ts';
import { credentialParameter } from '../credential-headers.ts';
import type { ScrubberOf } from '../credential-scrub.ts';
import { unreachable } from '../unreachable.ts';
import { type InvokeArguments, isSafe } from './arguments.ts';
import type { Deadline, Deadlines } from './deadline.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Description, Issue } from './openapi/description.ts';
import { type Outgoing, writeRequest } from './outgoing.ts';
import { readResponseBody } from './response-body.ts';
import { answerResult, refusedCall, type ToolResult } from './result.ts';

export type InvokeDeps = {
  context: ToolkitContext;
  fetch: AuthorizedFetch;
  budget: MemoryBudget;
  deadlines: Deadlines;
  scrubberOf: ScrubberOf;
  call_timeout: number;
};

/** A name that does not resolve, or a server that is just starting, is often there a moment later. */
const RETRY_MS = 250;
const WORTH_A_RETRY = new Set<EgressError['reason']>(['dns', 'connect']);

const ADVICE = 'api_get_endpoint_schema describes what an operation expects.';

export function gatewayPath(context: ToolkitContext): string {
  return `/api/v1/gateway/${encodeURIComponent(context.key.name)}`;
}

/** Sends; once more only where the method changes nothing and nothing had left. */
async function send(
  deps: InvokeDeps,
  request: Outgoing,
  deadline: Deadline,
  used: (token: Secret) => void,
): Promise<Response> {
  const { context, fetch } = deps;
  const init = {
    method: request.method,
    headers: request.headers,
    ...(request.body === undefined ? {} : { body: request.body }),
    signal: deadline.signal,
    used,
  };
  try {
    return await fetch(request.url, init);
  } catch (error) {
    const again =
      error instanceof EgressError &&
      error.phase === 'not_sent' &&
      WORTH_A_RETRY.has(error.reason) &&
      (request.method === 'GET' || request.method === 'HEAD');
    if (!again) throw error;
    await context.clock.sleep(RETRY_MS * (0.5 + context.random.fraction()), deadline.signal);
    deadline.signal.throwIfAborted();
    return await fetch(request.url, init);
  }
}

/**
 * One call of the API, written, sent and read.
 * @param only refuses a request before it is sent: a tool may be for some methods alone
 * @throws AppError what failed on our side of the API; the abort reason of a caller who left
 */
export async function invoke(
  deps: InvokeDeps,
  description: Description | null,
  args: InvokeArguments,
  call: ToolkitCall,
  only: (request: Outgoing) => Issue | undefined,
): Promise<ToolResult> {
  const { context, budget } = deps;
  const { config, clock } = context;
  const written = writeRequest(config, description, args);
  if (!written.ok) return refusedCall(written.issues, args.operation_id === undefined ? null : ADVICE);
  const { request } = written;
  const refused = only(request);
  if (refused) return refusedCall([refused], null);
  const limit = Math.min(deps.call_timeout, (args.timeout_seconds ?? Number.POSITIVE_INFINITY) * 1_000);
  const deadline = deps.deadlines.begin(limit, call.signal);
  const reservation = budget.reserve();
  const began = clock.monotonic();
  let token: Secret | undefined;
  try {
    const response = await send(deps, request, deadline, (used) => {
      token = used;
    });
    const body = await readResponseBody(response, {
      method: request.method,
      limit: Number(config.max_response_bytes),
      reservation,
      timedOut: deadline.timedOut,
    });
    call.signal.throwIfAborted();
    return answerResult({
      response,
      body,
      request,
      base_url: String(config.base_url),
      duration_ms: clock.monotonic() - began,
      limit_seconds: limit / 1_000,
      gateway_path: gatewayPath(context),
      raw: args.operation_id === undefined,
      scrubber: deps.scrubberOf(token),
      parameter: credentialParameter(config),
    });
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof EgressError)) throw error;
    throw unreachable(error, connectionLabel(context.key), isSafe(request.method));
  } finally {
    reservation.release();
    deadline.release();
  }
}
