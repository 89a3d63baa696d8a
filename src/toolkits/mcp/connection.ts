import { parseDuration } from '../../core/duration.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import type { ToolkitCall, ToolkitConnection, ToolkitContext, ToolkitTest, UpstreamTool } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { judge } from './failure.ts';
import type { ParamHeader } from './param-headers.ts';
import { paramHeaders, paramHeadersOf } from './param-headers.ts';
import type { Era, Session } from './session.ts';
import { dial } from './session.ts';
import { readAllTools } from './tool-list.ts';
import type { UpstreamFetch } from './upstream-fetch.ts';
import { createUpstreamFetch } from './upstream-fetch.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 60_000;
/** A server that has learnt the modern era still answers `initialize`: an old verdict would never fail loudly. */
const LEGACY_VERDICT_MS = 3_600_000;
/** Keys of `_meta` that speak for one hop alone: identity, version and capabilities of whoever sends. */
const HOP_PREFIX = 'io.modelcontextprotocol/';
/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports */
const HEADER_MISMATCH = -32020;

type KnownTool = { repeatable: boolean; headers: ParamHeader[] };

function knownTool(tool: UpstreamTool): KnownTool {
  const hints = (tool.annotations ?? {}) as { readOnlyHint?: unknown; idempotentHint?: unknown };
  return { repeatable: hints.readOnlyHint === true || hints.idempotentHint === true, headers: paramHeadersOf(tool) };
}

function withoutHopMeta(params: Record<string, unknown>): Record<string, unknown> {
  const { _meta, ...rest } = params;
  if (typeof _meta !== 'object' || _meta === null) return rest;
  const kept = Object.entries(_meta).filter(([key]) => !key.startsWith(HOP_PREFIX) && key !== 'progressToken');
  return kept.length > 0 ? { ...rest, _meta: Object.fromEntries(kept) } : rest;
}

/** The upstream's result as it is, without what only concerned the hop between it and us. */
function withoutHopResult(result: Record<string, unknown>): Record<string, unknown> {
  const { resultType: _, ...rest } = result;
  if (typeof rest._meta !== 'object' || rest._meta === null) return rest;
  const kept = Object.entries(rest._meta).filter(([key]) => !key.startsWith(HOP_PREFIX));
  if (kept.length > 0) return { ...rest, _meta: Object.fromEntries(kept) };
  const { _meta, ...bare } = rest;
  return bare;
}

/** Waits for work that others share: the caller may leave, the work goes on. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let leave: () => void = () => undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([work, left]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** One upstream: dialled at the first request, dialled again when its session is dropped (lesson 30). */
export class McpConnection implements ToolkitConnection {
  readonly #context: ToolkitContext;
  readonly #endpoint: URL;
  readonly #fetch: UpstreamFetch;
  readonly #version: string;
  readonly #timeouts: { connect: number; call: number };
  readonly #listeners = new Set<() => void>();
  readonly #known = new Map<string, KnownTool>();
  #session: Session | undefined;
  #dialling: Promise<Session> | undefined;
  #verdict: { era: Era; at: number } | undefined;
  #closed = false;

  constructor(context: ToolkitContext, version: string) {
    this.#context = context;
    this.#endpoint = new URL(String(context.config.endpoint));
    this.#fetch = createUpstreamFetch(context, this.#endpoint);
    this.#version = version;
    this.#timeouts = {
      connect: parseDuration(context.config.connect_timeout ?? '') ?? CONNECT_TIMEOUT_MS,
      call: parseDuration(context.config.call_timeout ?? '') ?? CALL_TIMEOUT_MS,
    };
  }

  async request(method: string, params: Record<string, unknown>, call: ToolkitCall): Promise<Record<string, unknown>> {
    if (method === 'tools/list') return { tools: await this.#listTools(call) };
    return withoutHopResult(await this.#exchange(method, withoutHopMeta(params), call));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async test(signal: AbortSignal): Promise<ToolkitTest> {
    try {
      const tools = await this.#listTools({ signal, principal: { actor: 'test' } });
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
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  async #listTools(call: ToolkitCall): Promise<UpstreamTool[]> {
    this.#reprobeWhenStale();
    const tools = await readAllTools(this.#context, (params) => this.#exchange('tools/list', params, call));
    this.#known.clear();
    for (const tool of tools) this.#known.set(tool.name, knownTool(tool));
    return tools;
  }

  /** Sends; after a dropped session once more, if the first request provably did not run or may run twice. */
  async #exchange(
    method: string,
    params: Record<string, unknown>,
    call: ToolkitCall,
  ): Promise<Record<string, unknown>> {
    for (let attempt = 1; ; attempt += 1) {
      const tool = method === 'tools/call' ? this.#known.get(String(params.name)) : undefined;
      const repeatable = method === 'tools/list' || tool?.repeatable === true;
      let session: Session | undefined;
      try {
        session = await this.#open(call.signal);
        const headers = tool ? paramHeaders(tool.headers, params.arguments) : {};
        return await session.request(method, params, call, { timeout: this.#timeouts.call, headers });
      } catch (error) {
        if (call.signal.aborted) throw call.signal.reason;
        const verdict = judge(error, this.#context, { era: session?.era }, this.#timeouts);
        if (verdict.dropped && session) this.#drop(session);
        if (attempt > 1 || !session) throw verdict.error;
        if (method === 'tools/call' && verdict.error instanceof RpcError && verdict.error.code === HEADER_MISMATCH) {
          await this.#listTools(call);
        } else if (!verdict.dropped || (verdict.ran === 'perhaps' && !repeatable)) throw verdict.error;
      }
    }
  }

  /** The session that is there, else one dial for all who wait for it. */
  async #open(signal: AbortSignal): Promise<Session> {
    if (this.#session) return this.#session;
    if (this.#closed) throw new AppError('unavailable', 'The connection was changed or deleted meanwhile. Try again.');
    this.#dialling ??= this.#dial().finally(() => {
      this.#dialling = undefined;
    });
    return unlessAborted(this.#dialling, signal);
  }

  async #dial(): Promise<Session> {
    const { clock } = this.#context;
    const known = this.#verdict;
    const fresh = known?.era === 'legacy' && clock.now() - known.at < LEGACY_VERDICT_MS;
    const session = await dial({
      context: this.#context,
      endpoint: this.#endpoint,
      fetch: this.#fetch,
      version: this.#version,
      connect_timeout: this.#timeouts.connect,
      prior: fresh ? { kind: 'legacy' } : undefined,
      hooks: { onChange: () => this.#changed(), onLost: (lost) => this.#lost(lost) },
    });
    if (this.#closed) {
      await session.close();
      throw new AppError('unavailable', 'The connection was changed or deleted meanwhile. Try again.');
    }
    if (!fresh) this.#verdict = { era: session.era, at: clock.now() };
    this.#session = session;
    return session;
  }

  #reprobeWhenStale(): void {
    const stale = this.#verdict?.era === 'legacy' && this.#context.clock.now() - this.#verdict.at >= LEGACY_VERDICT_MS;
    if (stale && this.#session) this.#drop(this.#session);
  }

  #drop(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    session.retire();
  }

  #lost(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    void session.close();
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
