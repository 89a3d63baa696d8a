import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import { WholeResponse } from '../../core/responses.ts';
import { type AuthorizedFetch, createAuthorizedFetch } from '../authorized-fetch.ts';

/** A body that is not a stream of events and larger than this is refused: it would be held in memory at once. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

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
  // Small, and there already: to ask for its body would make a stream of it.
  if (response instanceof WholeResponse) return response;
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

/** The way to an MCP upstream: authorized, and bounded. */
export function createUpstreamFetch(context: ToolkitContext, endpoint: URL): AuthorizedFetch {
  const authorized = createAuthorizedFetch(context, endpoint.origin);
  return async (url, init) => bounded(await authorized(url, init));
}
