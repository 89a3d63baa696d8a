import type { McpHttpHandler, ServerEvent, ServerEventBus } from '@modelcontextprotocol/server';
import { createMcpHandler } from '@modelcontextprotocol/server';
import type { ListKind } from '../core/ports.ts';
import type { Viewer } from '../flows/catalog-api.ts';
import { stopping } from './http-replies.ts';
import { createModernServer, type ServerDeps } from './protocol-server.ts';
import { bounded } from './sdk-stream.ts';
import { followListed } from './subscriptions.ts';

type Params = Record<string, unknown>;
type Listener = (event: ServerEvent) => void;

const EVENTS: Record<ListKind, ServerEvent> = {
  tools: { kind: 'tools_list_changed' },
  prompts: { kind: 'prompts_list_changed' },
  resources: { kind: 'resources_list_changed' },
};

/**
 * What one stream hears. What happens between an upstream's consent and the opening of the stream waits for it: the last
 * of each kind and resource, as each says no more than that something is to be read again.
 */
class StreamBus implements ServerEventBus {
  readonly #waiting = new Map<string, ServerEvent>();
  readonly #left: () => void;
  #listener: Listener | undefined;

  constructor(left: () => void) {
    this.#left = left;
  }

  get heard(): boolean {
    return this.#listener !== undefined;
  }

  publish(event: ServerEvent): void {
    if (this.#listener) this.#listener(event);
    else this.#waiting.set(event.kind === 'resource_updated' ? event.uri : event.kind, event);
  }

  subscribe(listener: Listener): () => void {
    this.#listener = listener;
    // Behind the acknowledgement, which is written first.
    for (const event of this.#waiting.values()) listener(event);
    this.#waiting.clear();
    return this.#left;
  }
}

export type ListenSettings = {
  /** Open streams in all, and of one principal. */
  most: number;
  most_per_principal: number;
};

export const DEFAULT_LISTEN: ListenSettings = { most: 1_024, most_per_principal: 64 };

type Stream = { actor: string; handler: McpHttpHandler; end: AbortController };

/** The client left before there was an answer. */
const nobody = () => new Response(null, { status: 499 });

/** `subscriptions/listen` of the modern era: one stream of one viewer, with what that viewer sees. */
export class ListenStreams {
  readonly #deps: ServerDeps;
  readonly #settings: ListenSettings;
  readonly #streams = new Set<Stream>();
  #closed = false;

  constructor(deps: ServerDeps, settings: ListenSettings) {
    this.#deps = deps;
    this.#settings = settings;
  }

  get size(): number {
    return this.#streams.size;
  }

  async open(request: Request, body: Params, viewer: Viewer): Promise<Response> {
    const { actor } = viewer.principal;
    const end = new AbortController();
    const stop = () => this.#end(stream);
    const bus = new StreamBus(stop);
    const own = [...this.#streams].filter((one) => one.actor === actor).length;
    const full = this.#streams.size >= this.#settings.most || own >= this.#settings.most_per_principal;
    const handler = createMcpHandler(() => createModernServer(this.#deps, viewer), {
      legacy: 'reject',
      bus,
      // The SDK's own refusal, with the status and words that go with it.
      maxSubscriptions: full ? 0 : 1,
      onerror: (error) => this.#deps.log.debug('a stream of notifications', { error }),
    });
    const stream: Stream = { actor, handler, end };
    if (full) return handler.fetch(request, { parsedBody: body });
    if (request.signal.aborted) return nobody();
    this.#streams.add(stream);
    request.signal.addEventListener('abort', stop, { once: true });
    const unsubscribe = this.#deps.catalog.onChange((changes) => {
      for (const list of this.#deps.catalog.concerns(viewer, changes)) bus.publish(EVENTS[list]);
    });
    end.signal.addEventListener('abort', unsubscribe, { once: true });
    try {
      const updated = (uri: string, params: Params) => bus.publish({ kind: 'resource_updated', uri, params });
      const parsedBody = await followListed(this.#deps, viewer, body, updated, end.signal);
      if (end.signal.aborted) return this.#closed ? stopping() : nobody();
      return bounded(await handler.fetch(request, { parsedBody }));
    } finally {
      // Refused, failed, or nothing of what it asks for can be told: there is no stream that would end.
      if (!bus.heard) stop();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const streams = [...this.#streams];
    await Promise.allSettled(streams.map(({ handler }) => handler.close()));
    // Those that are only being opened hear of it like this alone.
    for (const stream of streams) this.#end(stream);
  }

  #end(stream: Stream): void {
    this.#streams.delete(stream);
    stream.end.abort();
  }
}
