import { connectionLabel } from '../../core/connection.ts';
import { formatDuration } from '../../core/duration.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import { EgressError } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { unreachable } from '../unreachable.ts';
import { HttpFailure } from './http-carrier.ts';
import { WireError } from './wire.ts';

/** The upstream was replaced by one of another era while the session was open. */
const UNSUPPORTED_VERSION = -32022;

type ErrorShape = { code?: unknown; message?: unknown; data?: unknown; cause?: unknown };

function shapeOf(error: unknown): ErrorShape {
  return typeof error === 'object' && error !== null ? (error as ErrorShape) : {};
}

/** The errors of an SDK failure from the outside in: it wraps what `fetch` threw as `cause` or in `data.cause`. */
function chain(error: unknown): unknown[] {
  const links: unknown[] = [];
  for (let at = error; at !== undefined && links.length < 8; ) {
    links.push(at);
    const shape = shapeOf(at);
    at = shape.cause ?? shapeOf(shape.data).cause;
  }
  return links;
}

function httpStatus(error: unknown): number | undefined {
  if (error instanceof HttpFailure) return error.status;
  const status = (shapeOf(shapeOf(error).data) as { status?: unknown }).status;
  return typeof shapeOf(error).code === 'string' && typeof status === 'number' ? status : undefined;
}

/** A modern upstream's 404 with a JSON-RPC error in its body surfaces as an HTTP error of the SDK. */
function rpcErrorInBody(error: unknown): RpcError | undefined {
  const text = error instanceof HttpFailure ? error.text : (shapeOf(shapeOf(error).data) as { text?: unknown }).text;
  if (typeof text !== 'string') return undefined;
  try {
    const { error: body } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown; data?: unknown } };
    if (typeof body?.code !== 'number' || typeof body.message !== 'string') return undefined;
    return new RpcError(body.code, body.message, body.data);
  } catch {
    return undefined;
  }
}

export type Verdict = {
  /** What the caller is told. */
  error: AppError | RpcError;
  /** Whether the request may have been carried out: only `no` proves that it was not. */
  ran: 'no' | 'perhaps';
  /** The session or the connection is gone: the next request dials again. */
  dropped: boolean;
};

type Timeouts = { connect: number; call: number };

/** Turns whatever a request ended with into what a person can act on, and into what may be done about it. */
export function judge(
  error: unknown,
  context: ToolkitContext,
  session: { era: 'legacy' | 'modern' | undefined },
  timeouts: Timeouts,
): Verdict {
  const label = connectionLabel(context.key);
  const links = chain(error);
  const app = links.find((link): link is AppError => link instanceof AppError);
  if (app) return { error: app, ran: 'no', dropped: session.era === undefined };
  const egress = links.find((link): link is EgressError => link instanceof EgressError);
  if (egress) return judgeEgress(egress, label);
  if (error instanceof WireError) return judgeWire(error, label, timeouts);
  const { code, message, data } = shapeOf(error);
  if (typeof code === 'number') {
    if (code === UNSUPPORTED_VERSION) {
      const text = `The upstream of ${label} no longer speaks the protocol version that it announced. Try again.`;
      return { error: new AppError('upstream_failed', text), ran: 'no', dropped: true };
    }
    return { error: new RpcError(code, String(message), data), ran: 'perhaps', dropped: false };
  }
  const status = httpStatus(error);
  if (status !== undefined) return judgeStatus(error, status, label, session);
  return judgeSdkCode(error, label, session, timeouts);
}

function judgeWire({ reason }: WireError, label: string, timeouts: Timeouts): Verdict {
  const check = 'The call may have been carried out; check before you repeat it.';
  const verdicts: Record<WireError['reason'], { code: ErrorCode; text: string; dropped: boolean }> = {
    timeout: {
      code: 'timeout',
      text: `The upstream of ${label} did not answer within ${formatDuration(timeouts.call)} (call_timeout). The call may still be carried out.`,
      dropped: false,
    },
    stream_ended: {
      code: 'upstream_failed',
      text: `The upstream of ${label} ended the connection before it answered. ${check}`,
      dropped: true,
    },
    closed: {
      code: 'upstream_failed',
      text: `The session with the upstream of ${label} ended before it answered. ${check}`,
      dropped: true,
    },
    not_mcp: {
      code: 'upstream_failed',
      text: `The upstream of ${label} answered with something that is not MCP. Check that its endpoint is an MCP endpoint.`,
      dropped: false,
    },
  };
  const { code, text, dropped } = verdicts[reason];
  return { error: new AppError(code, text), ran: 'perhaps', dropped };
}

function judgeEgress(egress: EgressError, label: string): Verdict {
  return { error: unreachable(egress, label), ran: egress.phase === 'not_sent' ? 'no' : 'perhaps', dropped: true };
}

function judgeStatus(error: unknown, status: number, label: string, session: { era?: string }): Verdict {
  const rpc = rpcErrorInBody(error);
  // Perhaps its transport does not know our session, perhaps its handler failed: nobody can tell, so both are provided for.
  if (rpc && error instanceof HttpFailure && error.answers) return { error: rpc, ran: 'perhaps', dropped: true };
  // A legacy server answers handlers' errors with 200, or by the request's id; any other 400 or 404 comes from its
  // transport, before anything ran. A modern one answers by the id as soon as it understood the request.
  const refused = status === 400 || (session.era === 'legacy' && status === 404);
  const fault = (text: string, ran: Verdict['ran'], dropped: boolean): Verdict => ({
    error: new AppError('upstream_failed', text, { cause: error }),
    ran,
    dropped,
  });
  if (refused)
    return fault(
      `The upstream of ${label} no longer knows our session, or refuses the request (HTTP ${status}).`,
      'no',
      true,
    );
  if (rpc) return { error: rpc, ran: 'perhaps', dropped: false };
  if (status === 403) {
    return fault(
      `The upstream refuses ${label} (HTTP 403): its credential is not allowed to do this. Check its permissions or scope.`,
      'no',
      false,
    );
  }
  if (status === 404 || status === 405) {
    return fault(
      `The endpoint of ${label} is not an MCP endpoint (HTTP ${status}). Check its path; many end in /mcp.`,
      'no',
      true,
    );
  }
  if (status >= 300 && status < 400) {
    return fault(
      `The endpoint of ${label} redirects elsewhere (HTTP ${status}), which is not followed. Enter the address that it leads to.`,
      'no',
      true,
    );
  }
  const again = status === 429 || status >= 500 ? ' Try again later.' : '';
  return fault(`The upstream of ${label} answered HTTP ${status}.${again}`, 'perhaps', false);
}

function judgeSdkCode(
  error: unknown,
  label: string,
  session: { era: 'legacy' | 'modern' | undefined },
  timeouts: Timeouts,
): Verdict {
  const code = String(shapeOf(error).code);
  if (code === 'REQUEST_TIMEOUT') {
    const dialling = session.era === undefined;
    const after = formatDuration(dialling ? timeouts.connect : timeouts.call);
    const text = dialling
      ? `The upstream of ${label} did not answer the first request within ${after} (connect_timeout).`
      : `The upstream of ${label} did not answer within ${after} (call_timeout). The call may still be carried out.`;
    return { error: new AppError('timeout', text), ran: dialling ? 'no' : 'perhaps', dropped: dialling };
  }
  if (code === 'NOT_CONNECTED' || shapeOf(error).message === 'Not connected') {
    const text = `The session with the upstream of ${label} ended. Try again.`;
    return { error: new AppError('unavailable', text), ran: 'no', dropped: true };
  }
  const ended = code === 'CONNECTION_CLOSED';
  const text = ended
    ? `The session with the upstream of ${label} ended before it answered. The call may have been carried out.`
    : `The upstream of ${label} answered with something that is not MCP. Check that its endpoint is an MCP endpoint.`;
  return {
    error: new AppError('upstream_failed', text, { cause: error }),
    ran: 'perhaps',
    dropped: ended || session.era === undefined,
  };
}
