import type { Client, Transport } from '@modelcontextprotocol/client';
import { isRecord } from '../../core/json-shape.ts';
import type { ListKind, ToolkitCall, ToolkitClient, ToolkitContext } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { EVERYTHING, forwarded } from './capabilities.ts';
import type { Params, Wire } from './wire.ts';

export type Era = 'legacy' | 'modern';

export type SessionHooks = {
  /** What the upstream offers may have changed. */
  onChange(changed?: ListKind): void;
  /** A resource that is followed changed. */
  onUpdated(params: Params): void;
  /** The session ended without our doing. */
  onLost(session: Session): void;
};

/** Pause before a stream of notifications is opened again. */
export const RELISTEN_MS = { first: 1_000, longest: 60_000 };
const GOODBYE_MS = 2_000;
const CALLER_PREFIX = 'io.modelcontextprotocol/';
const CAPABILITIES = `${CALLER_PREFIX}clientCapabilities`;
const LOG_LEVEL = `${CALLER_PREFIX}logLevel`;

type SessionParts = {
  client: Client;
  transport: Transport & { terminateSession?(): Promise<void> };
  wire: Wire;
  context: ToolkitContext;
  hooks: SessionHooks;
  about: { name: string; version: string };
};

/** One conversation with the upstream: an initialized session of the legacy era, or a probed modern endpoint. */
export class Session {
  readonly #parts: SessionParts;
  readonly #ended = new AbortController();
  readonly #envelope: Params | undefined;
  readonly era: Era;
  #logLevel: string | undefined;
  #lost = false;
  #inFlight = 0;
  #retired = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { client, about } = parts;
    this.era = client.getProtocolEra() ?? 'legacy';
    this.#envelope =
      this.era === 'legacy'
        ? undefined
        : {
            [`${CALLER_PREFIX}protocolVersion`]: client.getNegotiatedProtocolVersion(),
            [`${CALLER_PREFIX}clientInfo`]: about,
          };
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Whether it ended without our doing. */
  get wasLost(): boolean {
    return this.#lost;
  }

  /** Whether the upstream was told the roots of a client. */
  get knowsRoots(): boolean {
    return this.#parts.wire.knowsRoots;
  }

  /** Whether the upstream keeps a session with us, in which alone it can ask anything. */
  get isConversation(): boolean {
    return this.#parts.transport.sessionId !== undefined;
  }

  get capabilities(): Record<string, unknown> {
    return this.#parts.client.getServerCapabilities() ?? {};
  }

  get about(): { server: string | null; protocol_version: string | null } {
    const server = this.#parts.client.getServerVersion();
    return {
      server: server ? `${server.name} ${server.version}` : null,
      protocol_version: this.#parts.client.getNegotiatedProtocolVersion() ?? null,
    };
  }

  get discovered(): Params {
    const { client } = this.#parts;
    const serverInfo = client.getServerVersion();
    const instructions = client.getInstructions();
    return {
      capabilities: this.capabilities,
      ...(serverInfo ? { serverInfo } : {}),
      ...(instructions === undefined ? {} : { instructions }),
    };
  }

  async request(
    method: string,
    params: Params,
    call: ToolkitCall,
    options: { timeout: number; headers: Record<string, string> },
  ): Promise<Params> {
    this.#inFlight += 1;
    try {
      return await this.#parts.wire.request({ method, params: this.#enveloped(params, call), call, ...options });
    } finally {
      this.#inFlight -= 1;
      if (this.#retired && this.#inFlight === 0) void this.close();
    }
  }

  /** `logging/setLevel`, where the session has another level than the call wants. */
  async setLogLevel(call: ToolkitCall, timeout: number): Promise<void> {
    const level = call.client?.log_level;
    if (this.era !== 'legacy' || level === undefined || level === this.#logLevel || !this.capabilities.logging) return;
    try {
      await this.request('logging/setLevel', { level }, call, { timeout, headers: {} });
    } catch (error) {
      // What may be told of a call is no reason to refuse the call.
      if (!(error instanceof RpcError)) throw error;
      this.#parts.context.log.debug('the upstream declares logging and refuses a level', { code: error.code });
    }
    this.#logLevel = level;
  }

  /** Tells the upstream something; one that cannot be told is nobody's failure. */
  async tell(method: string): Promise<void> {
    await this.#parts.wire.tell(method);
  }

  /** No new requests: closes as soon as the last one is through. */
  retire(): void {
    this.#retired = true;
    if (this.#inFlight === 0) void this.close();
  }

  /** The transport says that it has ended. */
  lost(): void {
    this.#parts.wire.closed();
    if (this.#ended.signal.aborted) return;
    this.#lost = true;
    this.#parts.hooks.onLost(this);
  }

  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    const { transport, client, context } = this.#parts;
    if (transport.sessionId && transport.terminateSession) {
      const goodbye = transport.terminateSession().catch(() => undefined);
      await Promise.race([goodbye, context.clock.sleep(GOODBYE_MS)]);
    }
    await client.close().catch(() => undefined);
    this.#parts.wire.closed();
  }

  /** Modern upstreams tell of changes on a stream that the client opened; it is opened again whenever it ends. */
  async listen(): Promise<void> {
    const { context, hooks } = this.#parts;
    const told = (kind: ListKind): boolean => {
      const offered = this.capabilities[kind];
      return isRecord(offered) && offered.listChanged === true;
    };
    const filter = {
      ...(told('tools') ? { toolsListChanged: true } : {}),
      ...(told('prompts') ? { promptsListChanged: true } : {}),
      ...(told('resources') ? { resourcesListChanged: true } : {}),
    };
    if (this.era !== 'modern' || Object.keys(filter).length === 0) return;
    const { signal } = this.#ended;
    for (let pause = RELISTEN_MS.first; !signal.aborted; pause = Math.min(pause * 2, RELISTEN_MS.longest)) {
      try {
        const subscription = await this.#parts.client.listen(filter, { signal });
        pause = RELISTEN_MS.first;
        await subscription.closed;
        if (!signal.aborted) hooks.onChange();
      } catch (error) {
        if (!signal.aborted) context.log.debug('notifications of the upstream are not available', { error });
      }
      await context.clock.sleep(pause, signal);
    }
  }

  /**
   * Follows one resource for as long as the session and the signal last; `agreed` is called once the upstream has
   * accepted. @throws RpcError or an error of the SDK when it has not.
   */
  async follow(uri: string, call: ToolkitCall, timeout: number, agreed: () => void): Promise<void> {
    const until = AbortSignal.any([call.signal, this.#ended.signal]);
    if (this.era === 'modern') {
      const stream = await this.#parts.client.listen({ resourceSubscriptions: [uri] }, { signal: until });
      if (!stream.honoredFilter.resourceSubscriptions?.includes(uri)) {
        await stream.close();
        throw new RpcError(-32602, 'The upstream does not tell of changes of this resource.');
      }
      agreed();
      await stream.closed;
      return;
    }
    await this.request('resources/subscribe', { uri }, call, { timeout, headers: {} });
    agreed();
    await new Promise<void>((resolve) => {
      if (until.aborted) resolve();
      until.addEventListener('abort', () => resolve(), { once: true });
    });
    if (this.#ended.signal.aborted) return;
    const goodbye = { ...call, signal: this.#parts.context.clock.timeout(timeout) };
    await this.request('resources/unsubscribe', { uri }, goodbye, { timeout, headers: {} }).catch(() => undefined);
  }

  /** What the modern era wants on every request: our version and name, and of the caller's client what it can do. */
  #enveloped(params: Params, call: ToolkitCall): Params {
    if (!this.#envelope) return params;
    const { client } = call;
    const meta: Params = {
      ...(params._meta as Params | undefined),
      ...this.#envelope,
      [CAPABILITIES]: client ? forwarded(client) : {},
    };
    if (client?.log_level !== undefined) meta[LOG_LEVEL] = client.log_level;
    return { ...params, _meta: meta };
  }
}

/** As `EVERYTHING` is declared for lists, so that nothing is hidden from them. */
export const LISTING_CLIENT: ToolkitClient = {
  capabilities: EVERYTHING,
  ask: () => Promise.reject(new Error('nobody to ask')),
  notify: () => undefined,
};
