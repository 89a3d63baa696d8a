import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import {
  isJSONRPCErrorResponse,
  isJSONRPCResultResponse,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import type { Clock, Fetch } from '../core/ports.ts';

export type OwnerEndpoint = { url: string; headers: Record<string, string> };

export type LinkHooks = {
  onmessage(message: JSONRPCMessage): void;
  /** The stream of notifications cannot be had any more: the owner, or its session of ours, is gone. */
  onlost(): void;
};

const RECONNECT_MS = { first: 200, longest: 5_000 };

/** One session with one owner: an HTTP client transport and what is under way on it. */
export class RelayLink {
  readonly transport: StreamableHTTPClientTransport;
  readonly #hooks: LinkHooks;
  readonly #awaited = new Map<string | number, (message: JSONRPCMessage) => void>();
  #closed = false;

  constructor(endpoint: OwnerEndpoint, deps: { fetch: Fetch; clock: Clock }, hooks: LinkHooks) {
    this.#hooks = hooks;
    this.transport = new StreamableHTTPClientTransport(new URL(endpoint.url), {
      fetch: (url, init) => this.#fetch(deps.fetch, endpoint, url, init),
      onInsufficientScope: 'throw',
      reconnectionOptions: {
        initialReconnectionDelay: RECONNECT_MS.first,
        maxReconnectionDelay: RECONNECT_MS.longest,
        reconnectionDelayGrowFactor: 2,
        maxRetries: Number.MAX_SAFE_INTEGER,
      },
      reconnectionScheduler: (reconnect, delay) => {
        const cancelled = new AbortController();
        void deps.clock.sleep(delay, cancelled.signal).then(() => {
          if (!cancelled.signal.aborted) reconnect();
        });
        return () => cancelled.abort();
      },
    });
    this.transport.onmessage = (message) => this.#received(message);
    // Failures of requests reach their sender; the transport repeats them here.
    this.transport.onerror = () => undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends a request of our own and waits for its answer, which the client never sees. */
  ask(message: JSONRPCMessage & { id: string | number }): Promise<JSONRPCMessage> {
    return new Promise<JSONRPCMessage>((resolve, reject) => {
      this.#awaited.set(message.id, resolve);
      const onRequestStreamEnd = () => reject(new Error('the stream ended without an answer'));
      this.transport.send(message, { onRequestStreamEnd }).catch(reject);
    });
  }

  /** The version of every later request's header is the one that `initialize` settled on. */
  settleVersion(answer: JSONRPCMessage): void {
    if (!isJSONRPCResultResponse(answer)) return;
    const { protocolVersion } = answer.result;
    if (typeof protocolVersion === 'string') this.transport.setProtocolVersion(protocolVersion);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.transport.close().catch(() => undefined);
  }

  #received(message: JSONRPCMessage): void {
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      const waiting = message.id === undefined ? undefined : this.#awaited.get(message.id);
      if (waiting && message.id !== undefined) {
        this.#awaited.delete(message.id);
        waiting(message);
        return;
      }
    }
    this.#hooks.onmessage(message);
  }

  async #fetch(fetch: Fetch, owner: OwnerEndpoint, url: string | URL, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(owner.headers)) headers.set(name, value);
    const stream = init.method === 'GET';
    try {
      const response = await fetch(url, {
        method: init.method ?? 'GET',
        headers,
        ...(typeof init.body === 'string' ? { body: init.body } : {}),
        ...(init.signal ? { signal: init.signal } : {}),
        redirect: 'manual',
        // On a pooled one, a request may meet the close of an idle connection, and nobody knows whether it ran.
        connection: 'fresh',
        trust: { url: 'typed' },
      });
      if (stream && !response.ok && response.status !== 405 && !this.#closed) this.#hooks.onlost();
      return response;
    } catch (error) {
      if (stream && !this.#closed && !init.signal?.aborted) this.#hooks.onlost();
      throw error;
    }
  }
}
