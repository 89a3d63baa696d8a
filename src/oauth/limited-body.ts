/** What could be read of a body. `complete` is false when the connection broke or the caller stopped listening. */
export type LimitedBody =
  | { type: 'read'; text: string; complete: true }
  | { type: 'read'; text: string; complete: false; cause: unknown }
  | { type: 'too_large' };

/** 1 MiB: no token answer or metadata document of a real server comes near. */
export const MAX_BODY_BYTES = 1_048_576;

/**
 * Reads a body up to a limit, and keeps what had come when the connection broke: a token answer may be whole although
 * its end was never announced.
 */
export async function readLimited(response: Response, maxBytes: number = MAX_BODY_BYTES): Promise<LimitedBody> {
  if (response.body === null) return { type: 'read', text: '', complete: true };
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { type: 'read', text: text + decoder.decode(), complete: true };
      bytes += value.byteLength;
      if (bytes > maxBytes) {
        await reader.cancel().catch(() => undefined);
        return { type: 'too_large' };
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (cause) {
    return { type: 'read', text, complete: false, cause };
  }
}
