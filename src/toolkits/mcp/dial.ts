import type { PriorDiscovery, StreamableHTTPClientTransportOptions, Transport } from '@modelcontextprotocol/client';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { ListKind, ToolkitClient, ToolkitContext } from '../../core/ports.ts';
import type { AuthorizedFetch } from '../authorized-fetch.ts';
import { EVERYTHING } from './capabilities.ts';
import { HttpCarrier } from './http-carrier.ts';
import type { SessionHooks } from './session.ts';
import { RELISTEN_MS, Session } from './session.ts';
import type { Carrier } from './wire.ts';
import { Wire } from './wire.ts';

/** Where the upstream is and how it is reached. */
export type Way =
  | { kind: 'streamable-http'; endpoint: URL; fetch: AuthorizedFetch }
  | { kind: 'sse' | 'stdio'; transport: () => Transport };

export type DialOptions = {
  context: ToolkitContext;
  version: string;
  connect_timeout: number;
  way: Way;
  prior: PriorDiscovery | undefined;
  /** What is declared to an upstream of the legacy era, once for the whole session; left out: everything. */
  capabilities?: Record<string, unknown>;
  /** Whom it may ask and tell where no stream says which call it means, from the first moment on; left out: nobody. */
  audience?: { client: ToolkitClient | undefined };
  hooks: SessionHooks;
};

type HttpWay = Extract<Way, { kind: 'streamable-http' }>;
type OnMessage = NonNullable<Transport['onmessage']>;

const LIST_CHANGED: Record<string, ListKind> = {
  'notifications/tools/list_changed': 'tools',
  'notifications/prompts/list_changed': 'prompts',
  'notifications/resources/list_changed': 'resources',
};

/** Lets the wire have each message first; the SDK's client gets what it does not take. */
function tap(transport: Transport, taken: (message: unknown) => boolean): void {
  let receive: OnMessage | undefined;
  Object.defineProperty(transport, 'onmessage', {
    get: () => receive,
    set: (handler: OnMessage | undefined) => {
      receive = handler && ((message, extra) => void (taken(message) || handler(message, extra)));
    },
  });
}

function httpOptions(options: DialOptions, way: HttpWay, lost: () => void): StreamableHTTPClientTransportOptions {
  const { clock } = options.context;
  return {
    // A stream of events that cannot be resumed because its session is gone tells us before any call does.
    fetch: async (url, { method = 'GET', headers: given, body, signal } = {}) => {
      const headers = new Headers(given);
      const sent = { method, headers, ...(typeof body === 'string' ? { body } : {}), ...(signal ? { signal } : {}) };
      const response = await way.fetch(url, sent);
      const gone = response.status === 404 || response.status === 400;
      if (gone && method === 'GET' && headers.has('mcp-session-id')) lost();
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

/** Requests over a transport whose answers all arrive on one stream. */
function sharedStream(transport: Transport): Carrier {
  return {
    cancelsByClosing: false,
    request: async (message) => {
      await transport.send(message as unknown as Parameters<Transport['send']>[0]);
      return 'open';
    },
    send: (message) => transport.send(message as unknown as Parameters<Transport['send']>[0]),
  };
}

/**
 * Dials the upstream: finds out its era and initializes a session where the era has one.
 * @throws whatever the SDK or the transport throws; `judge` makes sense of it.
 */
export async function dial(options: DialOptions): Promise<Session> {
  const { context, hooks, way } = options;
  const about = { name: 'mcp-data-platform', version: options.version };
  let opened: Session | undefined;
  const client = new Client(about, {
    // A transport of 2024 knows no other era, and a probe would only delay it.
    ...(way.kind === 'sse' ? {} : { versionNegotiation: { mode: 'auto' as const } }),
    inputRequired: { autoFulfill: false },
    capabilities: options.capabilities ?? EVERYTHING,
  });
  const transport =
    way.kind === 'streamable-http'
      ? new StreamableHTTPClientTransport(
          way.endpoint,
          httpOptions(options, way, () => opened?.lost()),
        )
      : way.transport();
  const carrier: Carrier =
    way.kind === 'streamable-http'
      ? new HttpCarrier({
          endpoint: way.endpoint,
          fetch: way.fetch,
          clock: context.clock,
          agreed: () => ({
            era: client.getProtocolEra() ?? 'legacy',
            protocol_version: client.getNegotiatedProtocolVersion(),
            session_id: (transport as Transport).sessionId,
          }),
        })
      : sharedStream(transport);
  const wire = new Wire(carrier, context.clock, {
    fallback: () => options.audience?.client,
    notified: (method, params, caller) => {
      const kind = LIST_CHANGED[method];
      if (kind) hooks.onChange(kind);
      else if (method === 'notifications/resources/updated') hooks.onUpdated(params);
      else (caller ?? options.audience?.client)?.notify(method, params);
    },
  });
  tap(transport, (message) => wire.receive(message));
  client.onerror = (error) => context.log.debug('upstream session', { error });
  client.onclose = () => (opened ? opened.lost() : wire.closed());
  try {
    const prior = options.prior && way.kind !== 'sse' ? { prior: options.prior } : {};
    await client.connect(transport, { timeout: options.connect_timeout, ...prior });
  } catch (error) {
    await client.close().catch(() => undefined);
    await transport.close().catch(() => undefined);
    throw error;
  }
  opened = new Session({ client, transport, wire, context, hooks, about });
  void opened.listen();
  return opened;
}
