import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client';
import { createParser } from 'eventsource-parser';
import { connectionLabel } from '../../core/connection.ts';
import { formatDuration } from '../../core/duration.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import type { AuthorizedFetch } from '../authorized-fetch.ts';
import { HttpFailure } from './http-carrier.ts';
import { WireError } from './wire.ts';

/**
 * The transport of 2024-11-05: one stream that is read, and POSTs to an address that the stream tells. When the stream
 * ends, the server has forgotten us, so that is the end of the session; the SDK's transport opens another stream and
 * goes on as if nothing had happened.
 * @see https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
 */
export class SseTransport implements Transport {
  onmessage?: Transport['onmessage'];
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #stream: URL;
  readonly #fetch: AuthorizedFetch;
  readonly #context: ToolkitContext;
  readonly #timeout: number;
  readonly #over = new AbortController();
  #posts: URL | undefined;
  #refused: AppError | undefined;
  #protocolVersion: string | undefined;

  /** @param timeout how long the server may take to tell where it takes messages, in milliseconds */
  constructor(context: ToolkitContext, stream: URL, fetch: AuthorizedFetch, timeout: number) {
    this.#context = context;
    this.#stream = stream;
    this.#fetch = fetch;
    this.#timeout = timeout;
  }

  setProtocolVersion(version: string): void {
    this.#protocolVersion = version;
  }

  /**
   * Resolves once the server has told where it takes messages.
   * @throws AppError timeout, or upstream_failed for an address of another origin; HttpFailure, WireError, what `fetch` throws
   */
  async start(): Promise<void> {
    const { clock, key } = this.#context;
    const started = new AbortController();
    let late = false;
    void clock.sleep(this.#timeout, started.signal).then(() => {
      if (started.signal.aborted) return;
      late = true;
      void this.close();
    });
    try {
      await this.#open();
    } catch (error) {
      if (!late) throw error;
      const text = `The upstream of ${connectionLabel(key)} did not say within ${formatDuration(this.#timeout)} (connect_timeout) where it takes messages.`;
      throw new AppError('timeout', text);
    } finally {
      started.abort();
    }
  }

  async #open(): Promise<void> {
    const response = await this.#fetch(this.#stream, {
      method: 'GET',
      headers: { accept: 'text/event-stream' },
      signal: this.#over.signal,
    });
    const type = response.headers.get('content-type') ?? '';
    if (!response.ok || !type.startsWith('text/event-stream')) {
      await response.body?.cancel();
      throw response.ok ? new WireError('not_mcp') : new HttpFailure(response.status, '');
    }
    await new Promise<void>((resolve, reject) => {
      void this.#read(response, resolve).then((error) => {
        reject(this.#refused ?? error ?? new WireError('closed'));
        void this.close();
      });
    });
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (!this.#posts || this.#over.signal.aborted) throw new WireError('closed');
    const response = await this.#fetch(this.#posts, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#protocolVersion ? { 'mcp-protocol-version': this.#protocolVersion } : {}),
      },
      body: JSON.stringify(message),
      signal: this.#over.signal,
    });
    await response.body?.cancel();
    if (!response.ok) throw new HttpFailure(response.status, '');
  }

  async close(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.onclose?.();
  }

  async #read(response: Response, ready: () => void): Promise<Error | undefined> {
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === 'endpoint') this.#learn(data, ready);
        else if (event === undefined || event === 'message') this.#received(data);
      },
    });
    const decoder = new TextDecoder();
    try {
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>)
        parser.feed(decoder.decode(chunk, { stream: true }));
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new WireError('closed');
    }
  }

  /** Only within the origin that the operator typed: the credential goes there. */
  #learn(address: string, ready: () => void): void {
    const posts = URL.canParse(address, this.#stream.href) ? new URL(address, this.#stream) : undefined;
    if (posts?.origin !== this.#stream.origin) {
      const text = `The upstream of ${connectionLabel(this.#context.key)} names an address of another origin for messages, which is refused. If that is where it is, enter its endpoint there.`;
      this.#refused = new AppError('upstream_failed', text);
      void this.close();
      return;
    }
    this.#posts = posts;
    ready();
  }

  #received(data: string): void {
    try {
      this.onmessage?.(JSON.parse(data) as JSONRPCMessage);
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error('unreadable message'));
    }
  }
}
