import type { EgressError } from './core/ports.ts';

/**
 * A signal of our own that follows the caller's, and can be let go of: undici keeps its listener for as long as its
 * request object lives, and Node 20 throws on a signal whose listener limit was set to 0.
 */
export function follow(signal: AbortSignal | undefined): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return { signal: controller.signal, release: () => signal?.removeEventListener('abort', abort) };
}

/**
 * Passes the body on chunk by chunk, with its failures told as EgressError. It also holds the source, which undici
 * would otherwise cancel once its own Response is garbage collected.
 */
export function relay(
  source: ReadableStream<Uint8Array>,
  fail: (error: unknown) => EgressError,
  release: () => void,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          release();
          controller.close();
        } catch (error) {
          release();
          controller.error(fail(error));
        }
      },
      cancel: (reason) => {
        release();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
