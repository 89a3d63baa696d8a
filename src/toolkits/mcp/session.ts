import type { PriorDiscovery, StreamableHTTPClientTransportOptions } from '@modelcontextprotocol/client';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { ResultSchema } from '@modelcontextprotocol/core';
import type { ToolkitCall, ToolkitContext } from '../../core/ports.ts';
import { STREAM_ENDED, STREAM_ENDED_CODE } from './failure.ts';
import type { UpstreamFetch } from './upstream-fetch.ts';

export type Era = 'legacy' | 'modern';

export type SessionHooks = {
  /** What the upstream offers may have changed. */
  onChange(): void;
  /** The upstream no longer knows the session; noticed without a request of ours. */
  onLost(session: Session): void;
};

export type SessionOptions = {
  context: ToolkitContext;
  endpoint: URL;
  fetch: UpstreamFetch;
  version: string;
  connect_timeout: number;
  prior: PriorDiscovery | undefined;
  hooks: SessionHooks;
};

/** Pause before a stream of notifications is opened again. */
const RELISTEN_MS = { first: 1_000, longest: 60_000 };
const GOODBYE_MS = 2_000;

/** Under this key a result travels through the SDK untouched. */
const VERBATIM = 'mcp-data-platform/verbatim';
const FORWARDED = new Set(['tools/list', 'tools/call']);

type SendOptions = Parameters<StreamableHTTPClientTransport['send']>[1];
type Message = Parameters<StreamableHTTPClientTransport['send']>[0];
type Received = NonNullable<StreamableHTTPClientTransport['onmessage']>;

/**
 * Two things that the SDK's transport does not do for a gateway. It answers a request itself once the stream that
 * would have brought the answer has ended without it. And it carries results verbatim: the SDK's modern codec refuses
 * a whole list over one bad tool, and a result over one unknown block, so it gets an empty one to validate and the
 * true one rides along.
 */
class UpstreamTransport extends StreamableHTTPClientTransport {
  readonly #forwarded = new Set<string | number>();

  constructor(url: URL, options: StreamableHTTPClientTransportOptions) {
    super(url, options);
    let receive: Received | undefined;
    Object.defineProperty(this, 'onmessage', {
      get: () => receive,
      set: (handler: Received | undefined) => {
        receive = handler && ((message) => handler(this.#wrapped(message)));
      },
    });
  }

  override send(message: Message, options?: SendOptions): Promise<void> {
    if (Array.isArray(message) || !('id' in message) || !('method' in message) || options?.onRequestStreamEnd) {
      return super.send(message, options);
    }
    const { id } = message;
    if (FORWARDED.has(message.method)) this.#forwarded.add(id);
    const onRequestStreamEnd = () => {
      const error = { code: STREAM_ENDED_CODE, message: 'stream ended', data: STREAM_ENDED };
      this.onmessage?.({ jsonrpc: '2.0', id, error });
    };
    return super.send(message, { ...options, onRequestStreamEnd }).catch((error: unknown) => {
      this.#forwarded.delete(id);
      throw error;
    });
  }

  #wrapped(message: Parameters<Received>[0]): Parameters<Received>[0] {
    if (!('id' in message) || message.id === undefined || 'method' in message) return message;
    if (!this.#forwarded.delete(message.id) || !('result' in message)) return message;
    const { result } = message;
    if (typeof result.resultType === 'string' && result.resultType !== 'complete') return message;
    const valid = { tools: [], content: [], ttlMs: 0, cacheScope: 'private', resultType: 'complete' };
    return { ...message, result: { ...valid, [VERBATIM]: result } };
  }
}

/** One conversation with the upstream: an initialized session of the legacy era, or a probed modern endpoint. */
export class Session {
  readonly #client: Client;
  readonly #transport: StreamableHTTPClientTransport;
  readonly #context: ToolkitContext;
  readonly #ended = new AbortController();
  #inFlight = 0;
  #retired = false;

  constructor(client: Client, transport: StreamableHTTPClientTransport, context: ToolkitContext) {
    this.#client = client;
    this.#transport = transport;
    this.#context = context;
  }

  get era(): Era {
    return this.#client.getProtocolEra() ?? 'legacy';
  }

  get about(): { server: string | null; protocol_version: string | null } {
    const server = this.#client.getServerVersion();
    return {
      server: server ? `${server.name} ${server.version}` : null,
      protocol_version: this.#client.getNegotiatedProtocolVersion() ?? null,
    };
  }

  async request(
    method: string,
    params: Record<string, unknown>,
    call: ToolkitCall,
    options: { timeout: number; headers: Record<string, string> },
  ): Promise<Record<string, unknown>> {
    this.#inFlight += 1;
    try {
      const result: Record<string, unknown> = await this.#client.request({ method, params }, ResultSchema, {
        signal: call.signal,
        timeout: options.timeout,
        ...(this.era === 'modern' ? { headers: options.headers } : {}),
        ...(call.onprogress ? { onprogress: call.onprogress } : {}),
      });
      return (result[VERBATIM] ?? result) as Record<string, unknown>;
    } finally {
      this.#inFlight -= 1;
      if (this.#retired && this.#inFlight === 0) void this.close();
    }
  }

  /** No new requests: closes as soon as the last one is through. */
  retire(): void {
    this.#retired = true;
    if (this.#inFlight === 0) void this.close();
  }

  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    if (this.#transport.sessionId) {
      const goodbye = this.#transport.terminateSession().catch(() => undefined);
      await Promise.race([goodbye, this.#context.clock.sleep(GOODBYE_MS)]);
    }
    await this.#client.close().catch(() => undefined);
  }

  /** Modern upstreams tell of changes on a stream that the client opened; it is opened again whenever it ends. */
  async listen(onChange: () => void): Promise<void> {
    if (this.era !== 'modern' || !this.#client.getServerCapabilities()?.tools?.listChanged) return;
    const { signal } = this.#ended;
    for (let pause = RELISTEN_MS.first; !signal.aborted; pause = Math.min(pause * 2, RELISTEN_MS.longest)) {
      try {
        const subscription = await this.#client.listen({ toolsListChanged: true }, { signal });
        pause = RELISTEN_MS.first;
        await subscription.closed;
        if (!signal.aborted) onChange();
      } catch (error) {
        if (!signal.aborted) this.#context.log.debug('notifications of the upstream are not available', { error });
      }
      await this.#context.clock.sleep(pause, signal);
    }
  }
}

function transportOptions(options: SessionOptions, lost: () => void): StreamableHTTPClientTransportOptions {
  const { clock } = options.context;
  return {
    // A stream of events that cannot be resumed because its session is gone tells us before any call does.
    fetch: async (url, init) => {
      const response = await options.fetch(url, init);
      const gone = response.status === 404 || response.status === 400;
      if (gone && init?.method === 'GET' && new Headers(init.headers).has('mcp-session-id')) lost();
      return response;
    },
    onInsufficientScope: 'throw',
    reconnectionOptions: {
      initialReconnectionDelay: RELISTEN_MS.first,
      maxReconnectionDelay: RELISTEN_MS.longest,
      reconnectionDelayGrowFactor: 2,
      maxRetries: Number.MAX_SAFE_INTEGER,
    },
    reconnectionScheduler: (reconnect, delay) => {
      const cancelled = new AbortController();
      void clock.sleep(delay, cancelled.signal).then(() => {
        if (!cancelled.signal.aborted) reconnect();
      });
      return () => cancelled.abort();
    },
  };
}

/** Dials the upstream: finds out its era and initializes a session where the era has one. */
export async function dial(options: SessionOptions): Promise<Session> {
  const { context, hooks } = options;
  let opened: Session | undefined;
  const transport = new UpstreamTransport(
    options.endpoint,
    transportOptions(options, () => opened && hooks.onLost(opened)),
  );
  const client = new Client(
    { name: 'mcp-data-platform', version: options.version },
    { versionNegotiation: { mode: 'auto' }, inputRequired: { autoFulfill: false }, capabilities: {} },
  );
  client.onerror = (error) => context.log.debug('upstream session', { error });
  client.setNotificationHandler('notifications/tools/list_changed', () => hooks.onChange());
  try {
    await client.connect(transport, {
      timeout: options.connect_timeout,
      ...(options.prior ? { prior: options.prior } : {}),
    });
  } catch (error) {
    await client.close().catch(() => undefined);
    await transport.close().catch(() => undefined);
    throw error;
  }
  opened = new Session(client, transport, context);
  void opened.listen(hooks.onChange);
  return opened;
}
