import type { McpHttpHandler, ServerEvent, ServerEventBus } from '@modelcontextprotocol/server';
import { createMcpHandler } from '@modelcontextprotocol/server';
import type { ListKind } from '../core/ports.ts';
import type { Viewer } from '../flows/catalog-api.ts';
import { createModernServer, type ServerDeps } from './protocol-server.ts';
import { followResource } from './subscriptions.ts';

type Params = Record<string, unknown>;
type Listener = (event: ServerEvent) => void;

const EVENTS: Record<ListKind, ServerEvent> = {
  tools: { kind: 'tools_list_changed' },
  prompts: { kind: 'prompts_list_changed' },
  resources: { kind: 'resources_list_changed' },
};

/** What one stream hears; what happens between an upstream's consent and the opening of the stream waits for it. */
class StreamBus implements ServerEventBus {
  readonly #waiting: ServerEvent[] = [];
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
    else this.#waiting.push(event);
  }

  subscribe(listener: Listener): () => void {
    this.#listener = listener;
    // Behind the acknowledgement, which is written first.
    for (const event of this.#waiting.splice(0)) listener(event);
    return this.#left;
  }
}

export type ListenSettings = {
  /** Open streams in all, and of one principal. */
  most: number;
  most_per_principal: number;
  most_resources: number;
};

export const DEFAULT_LISTEN: ListenSettings = { most: 1_024, most_per_principal: 64, most_resources: 500 };

type Stream = { actor: string; handler: McpHttpHandler; end: AbortController };

/** `subscriptions/listen` of the modern era: one stream of one viewer, with what that viewer sees. */
export class ListenStreams {
  readonly #deps: ServerDeps;
  readonly #settings: ListenSettings;
  readonly #streams = new Set<Stream>();

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
    this.#streams.add(stream);
    const unsubscribe = this.#deps.catalog.onChange((changes) => {
      for (const list of this.#deps.catalog.concerns(viewer, changes)) bus.publish(EVENTS[list]);
    });
    end.signal.addEventListener('abort', unsubscribe, { once: true });
    const parsedBody = await this.#followed(body, viewer, bus, end.signal);
    const response = await handler.fetch(request, { parsedBody });
    // Refused, or nothing of what it asks for can be told: there is no stream that would end.
    if (!bus.heard) stop();
    return response;
  }

  async close(): Promise<void> {
    const handlers = [...this.#streams].map(({ handler }) => handler);
    await Promise.allSettled(handlers.map((handler) => handler.close()));
  }

  /** The request with those of its resources that their upstreams agreed to tell of. */
  async #followed(body: Params, viewer: Viewer, bus: StreamBus, signal: AbortSignal): Promise<Params> {
    const params = (body.params ?? {}) as Params;
    const filter = params.notifications as Params | undefined;
    const wanted = filter?.resourceSubscriptions;
    if (!Array.isArray(wanted) || !wanted.every((uri) => typeof uri === 'string')) return body;
    const uris = [...new Set<string>(wanted)].slice(0, this.#settings.most_resources);
    const agreed = await Promise.all(
      uris.map(async (uri) => {
        const updated = ({ uri: _, ...rest }: Params) => bus.publish({ kind: 'resource_updated', uri, params: rest });
        const answer = await followResource(this.#deps, viewer, uri, updated, signal).catch(() => 'refused' as const);
        return answer === 'subscribed' ? [uri] : [];
      }),
    );
    return { ...body, params: { ...params, notifications: { ...filter, resourceSubscriptions: agreed.flat() } } };
  }

  #end(stream: Stream): void {
    this.#streams.delete(stream);
    stream.end.abort();
  }
}
