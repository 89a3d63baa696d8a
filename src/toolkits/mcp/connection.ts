import { parseDuration } from '../../core/duration.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import type { ParamHeader } from '../../core/param-headers.ts';
import { paramHeaders, paramHeadersOf } from '../../core/param-headers.ts';
import type {
  ListKind,
  ToolkitCall,
  ToolkitClient,
  ToolkitConnection,
  ToolkitContext,
  ToolkitTest,
  UpstreamTool,
} from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import type { Dialler } from './dialler.ts';
import { judge } from './failure.ts';
import { Followers } from './followers.ts';
import { translated, withoutHopMeta, withoutHopResult } from './hop.ts';
import { Leases } from './leases.ts';
import type { Lease, OwnDial } from './own-sessions.ts';
import { OwnSessions, unlessAborted } from './own-sessions.ts';
import { readableResult } from './readable-result.ts';
import type { Session } from './session.ts';
import { LISTING_CLIENT } from './session.ts';
import { Subscriptions } from './subscriptions.ts';
import type { ListMethod } from './upstream-list.ts';
import { isListMethod, LISTS, readWholeList } from './upstream-list.ts';
import type { Params } from './wire.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 60_000;
/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports */
const HEADER_MISMATCH = -32020;
const METHOD_NOT_FOUND = -32601;
/** What only reads may be sent twice. */
const READS = new Set([...Object.keys(LISTS), 'prompts/get', 'resources/read', 'completion/complete']);

type KnownTool = { repeatable: boolean; headers: ParamHeader[] };

function knownTool(tool: UpstreamTool): KnownTool {
  const hints = (tool.annotations ?? {}) as { readOnlyHint?: unknown; idempotentHint?: unknown };
  return { repeatable: hints.readOnlyHint === true || hints.idempotentHint === true, headers: paramHeadersOf(tool) };
}

/** One upstream: dialled at the first request, dialled again when its session is dropped (lesson 30). */
export class McpConnection implements ToolkitConnection {
  readonly #context: ToolkitContext;
  readonly #timeouts: { connect: number; call: number };
  readonly #listeners = new Set<(changed?: ListKind) => void>();
  readonly #known = new Map<string, KnownTool>();
  readonly #dialler: Dialler;
  readonly #own: OwnSessions;
  readonly #leases: Leases;
  readonly #subscriptions: Subscriptions;
  readonly #followers: Followers;
  #session: Session | undefined;
  #dialling: Promise<Session> | undefined;
  #closed = false;

  constructor(context: ToolkitContext, dialler: Dialler) {
    this.#context = context;
    this.#dialler = dialler;
    this.#timeouts = {
      connect: parseDuration(context.config.connect_timeout ?? '') ?? CONNECT_TIMEOUT_MS,
      call: parseDuration(context.config.call_timeout ?? '') ?? CALL_TIMEOUT_MS,
    };
    this.#own = new OwnSessions({ context, dial: (declared) => this.#dialOwn(declared) });
    const drop = (session: Session) => this.#drop(session);
    this.#leases = new Leases({ context, timeouts: this.#timeouts, own: this.#own, drop });
    const timeout = this.#timeouts.call;
    this.#subscriptions = new Subscriptions({
      context,
      follow: async (uri, call, { agreed }) => (await this.#open(call.signal)).follow(uri, call, timeout, agreed),
    });
    this.#followers = new Followers({
      context,
      shared: this.#subscriptions,
      lease: async (call) => this.#leases.follow(await this.#open(call.signal), call),
      timeouts: this.#timeouts,
      drop,
    });
  }

  async request(method: string, params: Params, call: ToolkitCall): Promise<Params> {
    if (isListMethod(method)) return { [LISTS[method].key]: await this.#list(method, call) };
    if (method === 'server/discover') return this.#discover(call);
    const result = await this.#exchange(method, withoutHopMeta(params), call);
    return readableResult(this.#context, method, withoutHopResult(this.#context, result, call));
  }

  async subscribe(
    uri: string,
    updated: (params: Params) => void,
    signal: AbortSignal,
    client?: ToolkitClient,
  ): Promise<void> {
    const until = client?.session ? AbortSignal.any([signal, client.session.ended]) : signal;
    try {
      if (client?.session) await this.#followers.subscribe(uri, updated, until, client, client.session);
      else await this.#subscriptions.subscribe(uri, updated, until);
    } catch (error) {
      if (until.aborted) throw until.reason;
      throw judge(error, this.#context, { era: this.#session?.era }, this.#timeouts).error;
    }
  }

  onChange(listener: (changed?: ListKind) => void): void {
    this.#listeners.add(listener);
  }

  async test(signal: AbortSignal): Promise<ToolkitTest> {
    try {
      const tools = await this.#list('tools/list', { signal, principal: { actor: 'test' } });
      const session = await this.#open(signal);
      const { server, protocol_version } = session.about;
      const message = `Connected to ${server ?? 'the upstream'}: it offers ${tools.length} ${tools.length === 1 ? 'tool' : 'tools'} and speaks MCP ${protocol_version ?? ''} (${session.era} era).`;
      return { ok: true, message, details: { server, protocol_version, era: session.era, tools: tools.length } };
    } catch (error) {
      if (error instanceof RpcError) {
        const message = `The upstream answers, but refuses to list its tools (JSON-RPC error ${error.code}).`;
        return { ok: false, message, details: { code: 'upstream_failed', rpc_code: error.code } };
      }
      const { code, message } = toAppError(error);
      return { ok: false, message, details: { code } };
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    this.#followers.close();
    this.#subscriptions.close();
    const session = this.#session;
    this.#session = undefined;
    await Promise.all([session?.close(), this.#own.close()]);
  }

  async #discover(call: ToolkitCall): Promise<Params> {
    try {
      return (await this.#open(call.signal)).discovered;
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      throw judge(error, this.#context, { era: undefined }, this.#timeouts).error;
    }
  }

  async #list(method: ListMethod, call: ToolkitCall): Promise<UpstreamTool[]> {
    if (method === 'tools/list' && this.#session && this.#dialler.isStale()) this.#drop(this.#session);
    if (method !== 'tools/list') {
      const { capabilities } = (await this.#discover(call)) as { capabilities: Record<string, unknown> };
      if (!(LISTS[method].capability in capabilities)) return [];
    }
    const asPlatform = { signal: call.signal, principal: call.principal, client: LISTING_CLIENT };
    try {
      const page = (params: Params) => this.#exchange(method, params, asPlatform);
      const items = (await readWholeList(this.#context, method, page)) as UpstreamTool[];
      if (method === 'tools/list') {
        this.#known.clear();
        for (const tool of items) this.#known.set(tool.name, knownTool(tool));
      }
      return items;
    } catch (error) {
      // Servers with resources but without templates often leave the method out.
      const absent = error instanceof RpcError && error.code === METHOD_NOT_FOUND;
      if (absent && method === 'resources/templates/list') return [];
      throw error;
    }
  }

  /** Sends; after a dropped session once more, if the first request provably did not run or may run twice. */
  async #exchange(method: string, params: Params, call: ToolkitCall): Promise<Params> {
    for (let attempt = 1; ; attempt += 1) {
      const tool = method === 'tools/call' ? this.#known.get(String(params.name)) : undefined;
      const repeatable = READS.has(method) || tool?.repeatable === true;
      let lease: Lease | undefined;
      try {
        lease = await this.#leases.call(this.#session ?? (await this.#open(call.signal)), call);
        const headers = tool && lease.session.era === 'modern' ? paramHeaders(tool.headers, params.arguments) : {};
        return await lease.session.request(method, params, call, { timeout: this.#timeouts.call, headers });
      } catch (error) {
        if (call.signal.aborted) throw call.signal.reason;
        const era = lease?.session.era;
        const verdict = judge(error, this.#context, { era }, this.#timeouts);
        if (verdict.dropped && lease) this.#drop(lease.session);
        const hidden = tool && lease && lease.session !== this.#session ? String(params.name) : undefined;
        const told = translated(this.#context, verdict.error, call, hidden);
        if (attempt > 1 || !lease) throw told;
        if (method === 'tools/call' && told instanceof RpcError && told.code === HEADER_MISMATCH) {
          await this.#list('tools/list', call);
        } else if (!verdict.dropped || (verdict.ran === 'perhaps' && !repeatable)) throw told;
      } finally {
        lease?.release();
      }
    }
  }

  /** The session that is there, else one dial for all who wait for it. */
  async #open(signal: AbortSignal): Promise<Session> {
    if (this.#session) return this.#session;
    if (this.#closed) throw this.#gone();
    this.#dialling ??= this.#dial().finally(() => {
      this.#dialling = undefined;
    });
    return unlessAborted(this.#dialling, signal);
  }

  async #dial(): Promise<Session> {
    const session = await this.#dialler.dial({
      connect_timeout: this.#timeouts.connect,
      hooks: {
        onChange: (kind) => this.#changed(kind),
        onUpdated: (params) => this.#subscriptions.updated(params),
        onLost: (lost) => this.#lost(lost),
      },
    });
    if (this.#closed) {
      await session.close();
      throw this.#gone();
    }
    this.#session = session;
    return session;
  }

  async #dialOwn({ owner, ...declared }: OwnDial): Promise<Session> {
    const session = await this.#dialler.dial({
      connect_timeout: this.#timeouts.connect,
      ...declared,
      hooks: {
        onChange: () => undefined,
        onUpdated: (params) => this.#followers.updated(owner, params),
        onLost: (lost) => {
          this.#own.forget(lost);
          void lost.close();
        },
      },
    });
    this.#followers.opened(owner);
    return session;
  }

  #gone(): AppError {
    return new AppError('unavailable', 'The connection was changed or deleted meanwhile. Try again.');
  }

  #drop(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    else this.#own.forget(session);
    session.retire();
  }

  #lost(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    void session.close();
    if (!this.#closed) this.#changed();
  }

  #changed(kind?: ListKind): void {
    for (const listener of this.#listeners) listener(kind);
  }
}
