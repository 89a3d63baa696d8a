import { ProtocolError } from '@modelcontextprotocol/server';
import { toAppError } from '../core/errors.ts';
import type { ToolkitClient } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { Viewer } from '../flows/catalog-api.ts';
import { isLogLevel } from './exchange.ts';
import { invalidParams, methodNotFound, relayedError, unknownItem } from './relayed-error.ts';
import type { RequestDeps } from './requests.ts';
import { followResource } from './subscriptions.ts';

type Params = Record<string, unknown>;

/** Resources that one session may follow at once. */
const MOST_SUBSCRIPTIONS = 500;

/** What a session of the legacy era remembers between its requests. */
export class LegacyConversation {
  readonly id: string;
  readonly viewer: Viewer;
  log_level: string | undefined;
  readonly #deps: RequestDeps;
  readonly #ended = new AbortController();
  readonly #subscriptions = new Map<string, AbortController>();
  readonly #rootsChanged = new Set<() => void>();
  readonly #updated: (params: Params) => void;

  constructor(deps: RequestDeps, viewer: Viewer, updated: (params: Params) => void) {
    this.id = deps.random.uuid();
    this.viewer = viewer;
    this.#deps = deps;
    this.#updated = updated;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  onRootsChanged(changed: () => void, until: AbortSignal): void {
    if (until.aborted) return;
    this.#rootsChanged.add(changed);
    until.addEventListener('abort', () => this.#rootsChanged.delete(changed), { once: true });
  }

  rootsChanged(): void {
    for (const changed of this.#rootsChanged) changed();
  }

  end(): void {
    this.#ended.abort();
  }

  setLevel({ level }: Params): Params {
    if (!isLogLevel(level)) throw invalidParams('Invalid params: level is none of the eight of RFC 5424.');
    this.log_level = level;
    return {};
  }

  async subscribe({ uri }: Params, client: ToolkitClient): Promise<Params> {
    if (typeof uri !== 'string') throw invalidParams('Invalid params: uri is missing, or no text.');
    if (this.#subscriptions.has(uri)) return {};
    if (this.#subscriptions.size >= MOST_SUBSCRIPTIONS) throw invalidParams('This session follows too many resources.');
    const end = new AbortController();
    const signal = AbortSignal.any([this.#ended.signal, end.signal]);
    this.#subscriptions.set(uri, end);
    try {
      const answer = await followResource(this.#deps, this.viewer, uri, this.#updated, signal, client);
      if (answer === 'unknown') throw unknownItem('resource', uri);
      if (answer === 'unsupported') throw methodNotFound();
      return {};
    } catch (error) {
      this.#subscriptions.delete(uri);
      end.abort();
      if (error instanceof ProtocolError) throw error;
      if (error instanceof RpcError) throw relayedError('legacy', error.code, error.message, error.data);
      throw ProtocolError.fromError(-32603, toAppError(error).message, {});
    }
  }

  unsubscribe({ uri }: Params): Params {
    const end = this.#subscriptions.get(String(uri));
    this.#subscriptions.delete(String(uri));
    end?.abort();
    return {};
  }
}
