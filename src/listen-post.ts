import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HeaderReader, PlainPost } from './core/plain-post.ts';

/** Of a path that means one thing to everybody: nothing is encoded in it, and no segment of it is a dot. */
const PLAIN_PATH = /^\/[\w/-]*$/;
const DECLARED_LENGTH = /^\d{1,15}$/;

class NodeHeaders implements HeaderReader {
  readonly #headers: IncomingMessage['headers'];

  constructor(headers: IncomingMessage['headers']) {
    this.#headers = headers;
  }

  get(name: string): string | null {
    const value = this.#headers[name];
    return typeof value === 'string' ? value : null;
  }
}

/** A request of `node:http` that is a plain POST. */
export class NodePost implements PlainPost {
  readonly method = 'POST';
  readonly url: string;
  readonly headers: HeaderReader;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  #broken = false;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.url = `http://${incoming.headers.host}${incoming.url}`;
    this.headers = new NodeHeaders(incoming.headers);
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  /** The client left before it had sent its body. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** Whoever makes a standard request of it later finds the body where the library looks for one that was read before. */
  text(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      const incoming: IncomingMessage & { rawBody?: Buffer } = this.#incoming;
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
        incoming.rawBody = body;
        resolve(body.toString('utf8'));
      });
      incoming.on('close', () => {
        this.#broken = incoming.rawBody === undefined;
        resolve(undefined);
      });
    });
  }

  onGone(left: () => void): void {
    this.#outgoing.once('close', () => {
      if (!this.#outgoing.writableFinished) left();
    });
  }
}

/** undefined: there is something about the request that is for a standard one to say. */
export function plainPost(incoming: IncomingMessage, outgoing: ServerResponse): NodePost | undefined {
  const { method, url = '', headers, rawHeaders } = incoming;
  if (method !== 'POST' || !PLAIN_PATH.test(url) || headers.host === undefined) return undefined;
  if (!DECLARED_LENGTH.test(headers['content-length'] ?? '')) return undefined;
  // Of a header that comes twice, node:http drops one or joins both, by its name: not always as the standard does it.
  if (rawHeaders.length !== 2 * Object.keys(headers).length) return undefined;
  return new NodePost(incoming, outgoing);
}
