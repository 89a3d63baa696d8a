import { permitsAll, reaches } from '../core/access-rule.ts';
import { outcomeOfStatus } from '../core/call-record.ts';
import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { ErrorCode } from '../core/errors.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { CallEnd, CallRecorder, PlainRequest } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import { StreamedResponse, WholeResponse } from '../core/responses.ts';
import { outcomeOfThrown } from './call-records.ts';
import type { Catalog, PlainTarget } from './catalog-api.ts';
import { connectionFailure, failureText } from './connection-failure.ts';

export type PassthroughDeps = {
  catalog: Pick<Catalog, 'plainTargets'>;
  /** Where a person opens the portal. */
  publicUrl: string;
  calls: CallRecorder;
};

export interface Passthrough {
  /**
   * One plain request of a program through the connection of that name.
   * @param request its path and query are what is asked of the upstream
   * @throws AppError not_found, forbidden, invalid_request, or what the connection failed with; the reason of the
   * request's signal when its sender has left
   */
  handle(principal: Principal, name: string, request: PlainRequest): Promise<Response>;
}

/** Failures of the request itself: the page of the connection would not help. */
const OF_THE_REQUEST = new Set<ErrorCode>(['invalid_request', 'payload_too_large', 'overloaded']);

function failureOf(error: AppError, key: ConnectionKey, publicUrl: string): AppError {
  if (OF_THE_REQUEST.has(error.code)) return error;
  const text = failureText(connectionFailure(error, key, publicUrl)).replaceAll('\n', ' ');
  const { retry_after, issues } = error;
  return new AppError(error.code, text, {
    cause: error.cause ?? error,
    issues,
    ...(retry_after === undefined ? {} : { retry_after }),
  });
}

/** Of two kinds with one name the API is meant: plain requests are its trade. */
function chosen(targets: readonly PlainTarget[], principal: Principal): PlainTarget | undefined {
  const reachable = targets.filter(({ key }) => reaches(principal, key));
  return reachable.find(({ key }) => key.kind === 'api') ?? reachable[0];
}

/** Passes the body on, counts it, and tells once how the call ended: with its last byte, or before. */
function recordedBody(
  source: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  done: CallEnd,
  end: (end: CallEnd) => void,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  let response_bytes = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done: over, value } = await reader.read();
          if (!over) {
            response_bytes += value.byteLength;
            return controller.enqueue(value);
          }
          end({ ...done, response_bytes });
          controller.close();
        } catch (error) {
          end({ outcome: signal.aborted ? 'cancelled' : 'unavailable', response_bytes });
          controller.error(error);
        }
      },
      cancel: (reason) => {
        end({ outcome: 'cancelled', response_bytes });
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function declaredLength(request: PlainRequest): number | undefined {
  const declared = request.headers.get('content-length');
  return declared === null ? undefined : Number(declared);
}

/** The story of a plain request: name → connection → upstream → its answer, streamed. It touches no database. */
export function createPassthrough(deps: PassthroughDeps): Passthrough {
  return {
    async handle(principal, name, request) {
      const target = chosen(deps.catalog.plainTargets(name), principal);
      if (!target) {
        const text = `There is no connection ${name} that takes plain HTTP requests, or it is not for this key.`;
        throw new AppError('not_found', text);
      }
      const { key } = target;
      if (!permitsAll(principal, key)) {
        const text = `This key may use some tools of ${connectionLabel(key)}, not the whole of it, as plain HTTP requests do. Use its tools, or ask for a key whose rules name the connection without a tool.`;
        throw new AppError('forbidden', text);
      }
      const { actor } = principal;
      const { method, signal } = request;
      const end = deps.calls.begin({ key, actor, method, era: 'http', request_bytes: declaredLength(request) });
      try {
        const response = await target.handle(request, { signal, principal: { actor } });
        target.note(null);
        const { status, statusText, headers } = response;
        const done: CallEnd = { outcome: outcomeOfStatus(status) };
        if (response instanceof WholeResponse) {
          end({ ...done, response_bytes: response.whole.byteLength });
          return response;
        }
        if (response.body === null) {
          end({ ...done, response_bytes: 0 });
          return response;
        }
        return new StreamedResponse(recordedBody(response.body, signal, done, end), { status, statusText, headers });
      } catch (error) {
        end({ outcome: signal.aborted ? 'cancelled' : outcomeOfThrown(error) });
        if (signal.aborted) throw error;
        const failed = toAppError(error);
        if (failed.code === 'needs_person' || failed.code === 'upstream_unreachable') target.note(failed);
        throw failureOf(failed, key, deps.publicUrl);
      }
    },
  };
}
