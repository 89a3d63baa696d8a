import type { Clock } from '../../core/ports.ts';

/** An abort without a reason makes a DOMException with its stack, which costs more than the rest of it. */
const OVER = new Error('over');

/**
 * Passes a body on chunk by chunk, and gives it up when its sender has been silent for `idle_ms` while somebody waits:
 * a reader that takes its time is not the sender's fault.
 * @param idle_ms null: may be silent for ever, as a stream of events is
 */
export function watchedStream(
  source: ReadableStream<Uint8Array>,
  options: { clock: Clock; idle_ms: number | null; late(): Error; ended(): void },
): ReadableStream<Uint8Array> {
  const { clock, idle_ms } = options;
  const reader = source.getReader();
  const over = new AbortController();
  let waiting_since: number | null = null;
  const end = () => {
    if (over.signal.aborted) return;
    over.abort(OVER);
    options.ended();
  };
  const watch = async (limit: number, controller: ReadableStreamDefaultController<Uint8Array>) => {
    while (!over.signal.aborted) {
      await clock.sleep(limit, over.signal);
      if (over.signal.aborted || waiting_since === null || clock.monotonic() - waiting_since < limit) continue;
      controller.error(options.late());
      end();
      await reader.cancel().catch(() => undefined);
    }
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        if (idle_ms !== null) void watch(idle_ms, controller);
      },
      async pull(controller) {
        try {
          waiting_since = clock.monotonic();
          const { done, value } = await reader.read();
          waiting_since = null;
          if (over.signal.aborted) return;
          if (!done) return controller.enqueue(value);
          controller.close();
          end();
        } catch (error) {
          if (over.signal.aborted) return;
          controller.error(error);
          end();
        }
      },
      cancel: (reason) => {
        end();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
