import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitCall, ToolkitContext } from '../../core/ports.ts';
import { withoutHopMeta } from './hop.ts';
import { unlessAborted } from './own-sessions.ts';
import type { Params } from './wire.ts';

type Listener = (params: Params) => void;
type Followed = { listeners: Set<Listener>; agreed: Promise<void>; over: AbortController };

/** What becomes of a resource that is followed: the upstream agrees, then it tells of changes. */
export type Following = { agreed(): void; updated: Listener };

export type SubscriptionsOptions = {
  context: ToolkitContext;
  /** Follows one resource until the signal aborts or its session ends. @throws what the upstream answers instead */
  follow(uri: string, call: ToolkitCall, following: Following): Promise<void>;
};

const MOST_FOLLOWED = 1_000;
const AGAIN_MS = { first: 1_000, longest: 60_000 };

/** Resources that are followed in one session: each once, however many follow it, and again after a re-dial. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #followed = new Map<string, Followed>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** @throws RpcError when the upstream refuses; AppError unavailable when too many are followed. */
  async subscribe(uri: string, updated: Listener, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const followed = this.#followed.get(uri) ?? this.#begin(uri);
    // One listener per subscriber, even where two share a function.
    const listener: Listener = (params) => updated(params);
    followed.listeners.add(listener);
    const leave = () => {
      followed.listeners.delete(listener);
      if (followed.listeners.size === 0) this.#end(uri, followed);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      await unlessAborted(followed.agreed, signal);
    } catch (error) {
      signal.removeEventListener('abort', leave);
      leave();
      throw error;
    }
  }

  updated(sent: Params): void {
    // The modern era says of which of our streams it comes, and that is no business of a client's.
    const params = withoutHopMeta(sent);
    const { uri } = params;
    if (typeof uri !== 'string') return;
    // Servers may tell of a part of what was subscribed to (2025-11-25, «Subscriptions»).
    for (const [followed, { listeners }] of this.#followed) {
      const inside = uri.startsWith(followed.endsWith('/') ? followed : `${followed}/`);
      if (uri === followed || inside) for (const listener of listeners) listener(params);
    }
  }

  close(): void {
    for (const [uri, followed] of this.#followed) this.#end(uri, followed);
  }

  #begin(uri: string): Followed {
    const { context } = this.#options;
    if (this.#followed.size >= MOST_FOLLOWED) {
      const text = `At most ${MOST_FOLLOWED} resources of ${connectionLabel(context.key)} can be followed at once.`;
      throw new AppError('unavailable', text);
    }
    const over = new AbortController();
    const agreed = new Promise<void>((resolve, reject) => {
      void this.#follow(uri, over.signal, resolve, reject);
    });
    agreed.catch(() => undefined);
    const followed = { listeners: new Set<Listener>(), agreed, over };
    this.#followed.set(uri, followed);
    return followed;
  }

  #end(uri: string, followed: Followed): void {
    followed.over.abort();
    if (this.#followed.get(uri) === followed) this.#followed.delete(uri);
  }

  /** A first refusal is the subscriber's answer; once agreed, it is followed until nobody listens any more. */
  async #follow(
    uri: string,
    signal: AbortSignal,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): Promise<void> {
    const { context, follow } = this.#options;
    const call: ToolkitCall = { signal, principal: { actor: 'system:subscription' } };
    let agreed = false;
    let pause = AGAIN_MS.first;
    while (!signal.aborted) {
      try {
        await follow(uri, call, {
          agreed: () => {
            // What changed while nobody was told is not known: better one hint too many.
            if (agreed) this.updated({ uri });
            agreed = true;
            pause = AGAIN_MS.first;
            resolve();
          },
          updated: (params) => {
            for (const listener of this.#followed.get(uri)?.listeners ?? []) listener(params);
          },
        });
      } catch (error) {
        if (!agreed) return reject(error);
        context.log.debug('a resource cannot be followed again yet', { error });
      }
      if (signal.aborted) break;
      await context.clock.sleep(pause * (0.8 + 0.4 * context.random.fraction()), signal);
      pause = Math.min(pause * 2, AGAIN_MS.longest);
    }
    reject(signal.reason);
  }
}
