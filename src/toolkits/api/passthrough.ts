import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { PlainRequest, ToolkitCall } from '../../core/ports.ts';
import { EgressError } from '../../core/ports.ts';
import type { Secret } from '../../core/redact.ts';
import { WholeResponse } from '../../core/responses.ts';
import { credentialParameter } from '../credential-headers.ts';
import { unreachable } from '../unreachable.ts';
import { isSafe } from './arguments.ts';
import type { Deadline } from './deadline.ts';
import type { InvokeDeps } from './invoke.ts';
import { mediaType } from './media-type.ts';
import { forwardedHeaders, returnedHeaders } from './passthrough-headers.ts';
import { KEPT_BYTES, ReplayBody } from './replay-body.ts';
import { requestTarget } from './target.ts';
import { watchedStream } from './watched-stream.ts';

const UNSENT_METHODS = new Set(['CONNECT', 'TRACE', 'TRACK']);
const NO_BODY = new Set([204, 205, 304]);

function refuse(path: string, message: string): AppError {
  return new AppError('invalid_request', `The request was not passed on: ${path} ${message}.`, {
    issues: [{ path, message }],
  });
}

/** A standard request has none by these methods: what the caller sent beside it would be lost without a word. */
function announcesBody(headers: Headers): boolean {
  return (headers.get('content-length') ?? '0') !== '0' || headers.has('transfer-encoding');
}

function targetOf({ context }: InvokeDeps, request: PlainRequest): URL {
  const { pathname, search } = new URL(request.url);
  const target = requestTarget(String(context.config.base_url), pathname, search.slice(1));
  if (!target.ok) throw refuse(target.at, target.message);
  const parameter = credentialParameter(context.config);
  if (parameter !== undefined && target.url.searchParams.has(parameter)) {
    throw refuse(`query_params.${parameter}`, 'is set by the platform for this connection; leave it out');
  }
  const { method } = request;
  if (UNSENT_METHODS.has(method.toUpperCase())) throw refuse('method', `${method} is not passed on`);
  if ((method === 'GET' || method === 'HEAD') && announcesBody(request.headers)) {
    throw refuse('body', `must be left out: ${method} carries none`);
  }
  return target.url;
}

/** The whole of a small body; whoever dawdles with it is told so, and nothing is sent. */
async function wholeBody(request: PlainRequest, deadline: Deadline): Promise<Uint8Array<ArrayBuffer>> {
  const { signal } = deadline;
  const late = new Promise<never>((_, reject) => {
    const leave = () =>
      reject(deadline.timedOut() ? refuse('body', 'did not arrive in time; send it again') : signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  const body = new Uint8Array(await Promise.race([request.arrayBuffer(), late]));
  deadline.extend();
  return body;
}

/** GET and HEAD carry none; one that says it is small is read whole, and one to come is streamed. */
async function bodyOf(
  request: PlainRequest,
  deadline: Deadline,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null> {
  const { method, headers } = request;
  if (method === 'GET' || method === 'HEAD') return null;
  const declared = headers.get('content-length');
  return declared !== null && Number(declared) <= KEPT_BYTES ? wholeBody(request, deadline) : request.body;
}

/** What the network said, as the caller is told it; its own leaving is passed on as it is. */
function told(error: unknown, { context }: InvokeDeps, method: string, call: ToolkitCall): unknown {
  if (call.signal.aborted) return call.signal.reason;
  if (!(error instanceof EgressError)) return error;
  return unreachable(error, connectionLabel(context.key), isSafe(method));
}

/**
 * One plain request of a program: passed on with the connection's credential, streamed both ways. The time limit is for
 * silence: between two pieces of the caller's body, until the headers of the answer, and between two pieces of its body,
 * unless that is a stream of events.
 * @throws AppError invalid_request for what may not be sent; what the connection failed with
 */
export async function passThrough(deps: InvokeDeps, request: PlainRequest, call: ToolkitCall): Promise<Response> {
  const { context, fetch, call_timeout } = deps;
  const { config, clock } = context;
  const { method } = request;
  const url = targetOf(deps, request);
  const deadline = deps.deadlines.begin(call_timeout, call.signal);
  const given = await bodyOf(request, deadline).catch((error: unknown) => {
    deadline.release();
    throw error;
  });
  const headers = forwardedHeaders(config, request.headers, given !== null);
  const streamed = given instanceof ReadableStream ? new ReplayBody(given, deadline.extend) : undefined;
  const body = streamed ? { body: streamed.stream(), again: () => streamed.again() } : given ? { body: given } : {};
  const ended = () => {
    deadline.release();
    void streamed?.release();
  };
  let token: Secret | undefined;
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      ...body,
      signal: deadline.signal,
      encoding: 'kept',
      used: (sent) => {
        token = sent;
      },
    });
  } catch (error) {
    ended();
    throw told(error, deps, method, call);
  }
  // From here on the caller's leaving alone ends it.
  deadline.lift();
  const returned = {
    status: response.status,
    headers: returnedHeaders(config, response.headers, url, deps.scrubberOf(token)),
  };
  // Some servers say one, and then nothing. @see https://www.rfc-editor.org/rfc/rfc9110#section-8.6
  if (response.status === 204) returned.headers.delete('content-length');
  if (response instanceof WholeResponse) {
    ended();
    return new WholeResponse(response.whole, returned);
  }
  if (response.body === null || method === 'HEAD' || NO_BODY.has(response.status)) {
    ended();
    await response.body?.cancel();
    return new Response(null, returned);
  }
  const silent = mediaType(response.headers.get('content-type')) === 'text/event-stream';
  const late = () => new EgressError('perhaps_sent', 'timeout', `${url.host} fell silent in the midst of its answer.`);
  const idle_ms = silent ? null : call_timeout;
  return new Response(watchedStream(response.body, { clock, idle_ms, late, ended }), returned);
}
