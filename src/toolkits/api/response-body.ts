import { AppError } from '../../core/errors.ts';
import { WholeResponse } from '../../core/responses.ts';
import { withLongNumbersAsTexts } from './exact-numbers.ts';
import { charsetOf, type MediaKind, mediaKind, mediaType } from './media-type.ts';
import type { Reservation } from './memory-budget.ts';

/** A picture or a small file travels in the result; more is for a program, over the gateway's HTTP address. */
export const EMBEDDED_BYTES = 524_288;

/** What one byte of an answer costs until it is sent: itself, its text, what it is parsed to, and the reply. */
const COST_PER_BYTE = 4;
/** A parsed object or array costs this much beside its content: 3.5 million empty ones fit into ten megabytes. */
const COST_PER_CONTAINER = 64;

export type ReadBody =
  | { type: 'none' }
  /** `long`: whole numbers beyond 2^53 are texts in it. */
  | { type: 'json'; value: unknown; long: boolean }
  /** `cut`: why this is not all of it. */
  | { type: 'text'; text: string; cut: 'limit' | 'time' | 'broken' | null }
  | { type: 'embedded'; media_type: string; blob: string }
  /** Binary, and not small: nothing of it was kept. */
  | { type: 'refused'; media_type: string };

export type ReadOptions = {
  method: string;
  limit: number;
  reservation: Reservation;
  timedOut(): boolean;
};

function overloaded(): AppError {
  const text =
    'Too many large answers of APIs are being read at once, so this one was given up. Nothing is wrong with the connection; try again in a few seconds, or ask for less at once.';
  return new AppError('overloaded', text, { retry_after: 2 });
}

/** Text may hold any byte but this one, and files of most kinds have it early. */
function looksBinary(chunk: Uint8Array): boolean {
  return chunk.subarray(0, 1_024).includes(0);
}

type Collected = { bytes: Uint8Array; cut: 'limit' | 'time' | 'broken' | null; binary: boolean };

type CollectOptions = ReadOptions & { sniff: boolean };

/** What has arrived already, under the rules of what is still to come. */
function collected(whole: Uint8Array, limit: number, { reservation, sniff }: CollectOptions): Collected {
  const bytes = whole.subarray(0, limit);
  if (!reservation.grow(bytes.byteLength * COST_PER_BYTE)) throw overloaded();
  return { bytes, cut: bytes.byteLength < whole.byteLength ? 'limit' : null, binary: sniff && looksBinary(whole) };
}

/** Reads up to `limit` decoded bytes; `sniff` stops at a first chunk that is no text. */
async function collect(response: Response, limit: number, options: CollectOptions): Promise<Collected> {
  if (response instanceof WholeResponse) return collected(response.whole, limit, options);
  const body: ReadableStream<Uint8Array> = response.body ?? new ReadableStream<Uint8Array>();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let cut: Collected['cut'] = null;
  let binary = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (options.sniff && chunks.length === 0 && looksBinary(value)) binary = true;
      const kept = value.subarray(0, limit - size);
      if (!options.reservation.grow(kept.byteLength * COST_PER_BYTE)) throw overloaded();
      chunks.push(kept);
      size += kept.byteLength;
      if (kept.byteLength < value.byteLength) cut = 'limit';
      if (cut !== null || (binary && size > EMBEDDED_BYTES)) break;
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    // What came before is worth more than nothing: an endless stream ends like this.
    cut = options.timedOut() ? 'time' : 'broken';
  } finally {
    // Also frees the socket of an upstream that goes on sending.
    await reader.cancel().catch(() => undefined);
  }
  return { bytes: Buffer.concat(chunks, size), cut, binary };
}

/** A byte order mark says more than a header does. @see https://encoding.spec.whatwg.org/#bom-sniff */
function markedCharset([first, second]: Uint8Array): string | undefined {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  return first === 0xfe && second === 0xff ? 'utf-16be' : undefined;
}

function decode(bytes: Uint8Array, contentType: string | null, whole: boolean): string {
  let decoder: InstanceType<typeof TextDecoder>;
  try {
    decoder = new TextDecoder(markedCharset(bytes) ?? charsetOf(contentType));
  } catch {
    decoder = new TextDecoder();
  }
  // A character that the limit cut in two is left out.
  return decoder.decode(bytes, { stream: !whole });
}

const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What nobody reads, and what cannot be written as JSON again: that takes a level of the stack for each. */
const MAX_LEVELS = 500;

/** How many objects and arrays a JSON text has, and how deep they lie in each other. */
function containersOf(bytes: Uint8Array): { count: number; levels: number } {
  let count = 0;
  let level = 0;
  let levels = 0;
  let isText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (isText) {
      if (byte === BACKSLASH) at += 1;
      else isText = byte !== QUOTE;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      count += 1;
      level += 1;
      if (level > levels) levels = level;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) level -= 1;
  }
  return { count, levels };
}

function readText(collected: Collected, contentType: string | null, json: boolean, options: ReadOptions): ReadBody {
  const { bytes, cut } = collected;
  const text = decode(bytes, contentType, cut === null);
  if (json && cut === null && text.trim() !== '') {
    const { count, levels } = containersOf(bytes);
    if (levels > MAX_LEVELS) return { type: 'text', text, cut };
    if (!options.reservation.grow(count * COST_PER_CONTAINER)) throw overloaded();
    try {
      const exact = withLongNumbersAsTexts(text);
      return { type: 'json', value: JSON.parse(exact) as unknown, long: exact !== text };
    } catch {
      // Not what its type says: shown as it came.
    }
  }
  return { type: 'text', text, cut };
}

async function readBinary(response: Response, media_type: string, options: ReadOptions): Promise<ReadBody> {
  const declared = response.headers.get('content-length');
  if (declared !== null && Number(declared) > EMBEDDED_BYTES) {
    await response.body?.cancel();
    return { type: 'refused', media_type };
  }
  const limit = Math.min(options.limit, EMBEDDED_BYTES);
  const { bytes, cut } = await collect(response, limit, { ...options, sniff: false });
  if (cut !== null) return { type: 'refused', media_type };
  return { type: 'embedded', media_type, blob: Buffer.from(bytes).toString('base64') };
}

/**
 * Reads an answer as far as it may be kept. Counts what comes out of the decompression, so that a small body that
 * unfolds without end is cut at the limit like any other.
 * @throws AppError overloaded when the budget of all connections is used up
 */
export async function readResponseBody(response: Response, options: ReadOptions): Promise<ReadBody> {
  const contentType = response.headers.get('content-type');
  const kind: MediaKind = mediaKind(contentType);
  const empty = !(response instanceof WholeResponse) && !response.body;
  if (empty || options.method === 'HEAD') {
    await response.body?.cancel();
    return { type: 'none' };
  }
  if (kind === 'binary') return readBinary(response, mediaType(contentType), options);
  const read = await collect(response, options.limit, { ...options, sniff: kind === 'unknown' });
  if (read.binary) {
    const media_type = 'application/octet-stream';
    if (read.cut !== null || read.bytes.byteLength > EMBEDDED_BYTES) return { type: 'refused', media_type };
    return { type: 'embedded', media_type, blob: Buffer.from(read.bytes).toString('base64') };
  }
  if (read.bytes.byteLength === 0 && read.cut === null) return { type: 'none' };
  return readText(read, contentType, kind === 'json', options);
}
