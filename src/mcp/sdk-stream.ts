import { EventStream, type Weight } from './event-stream.ts';

/** Notifications that a client can do without if it does not read. Others acknowledge or end something. */
const TOLD = new Set([
  'message',
  'resources/updated',
  'tools/list_changed',
  'prompts/list_changed',
  'resources/list_changed',
]);
const LONGEST_HEAD = 100;

function weightOf(frame: string): Weight {
  const data = frame.indexOf('data: ') + 'data: '.length;
  // The SDK writes the method first, or right after the version.
  const head = frame.slice(data, data + LONGEST_HEAD).replace('"jsonrpc":"2.0",', '');
  const notification = /^\{"method":"notifications\/([a-z_/]+)"/.exec(head)?.[1] ?? '';
  if (notification === 'progress') return 'progress';
  return TOLD.has(notification) ? 'told' : 'kept';
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}

/**
 * A response of the SDK's, which keeps in memory what its reader does not take, without a bound: read at once, one event
 * to each piece, and kept within the bounds of our own streams.
 * @param ended called once when a stream is over, whoever ends it
 */
export function bounded(response: Response, ended: () => void = () => undefined): Response {
  if (!response.body || !isEventStream(response)) {
    ended();
    return response;
  }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const left = () => void reader.cancel().catch(() => undefined);
  const stream = new EventStream(Object.fromEntries(response.headers), left);
  const decoder = new TextDecoder();
  const pass = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const frame = decoder.decode(next.value, { stream: true });
      if (frame.startsWith(':')) stream.keepalive();
      else stream.frame(frame, weightOf(frame));
    }
    stream.close();
  };
  pass()
    .catch((error: unknown) => stream.fail(error))
    .finally(ended);
  return stream.response;
}
