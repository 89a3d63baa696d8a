import type { ToolkitCall, ToolkitClient, ToolkitClientSession, ToolkitContext } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { judge } from './failure.ts';
import type { Lease } from './own-sessions.ts';
import type { Session } from './session.ts';
import type { Following } from './subscriptions.ts';
import { Subscriptions } from './subscriptions.ts';
import type { Params } from './wire.ts';

export type FollowersOptions = {
  context: ToolkitContext;
  /** What is followed over the session that all share. */
  shared: Subscriptions;
  /** The client's own session. undefined: its calls go over the shared one. */
  lease(call: ToolkitCall): Promise<Lease | undefined>;
  timeouts: { connect: number; call: number };
  drop(session: Session): void;
};

type Follower = {
  client: ToolkitClient;
  subscriptions: Subscriptions;
  /** Aborts when the client has got a session of its own, for what it follows over the shared one. */
  moved: AbortController;
};

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * What clients follow that hold a session with us. An upstream may change a resource for the session alone in which it
 * is called, so each is followed where its client's calls go; where that is not to be had, over the shared session.
 */
export class Followers {
  readonly #options: FollowersOptions;
  readonly #followers = new Map<string, Follower>();

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** @throws RpcError when the upstream refuses; AppError unavailable when too many are followed; the signal's reason. */
  async subscribe(
    uri: string,
    updated: (params: Params) => void,
    signal: AbortSignal,
    client: ToolkitClient,
    { id, ended }: ToolkitClientSession,
  ): Promise<void> {
    signal.throwIfAborted();
    let follower = this.#followers.get(id);
    if (!follower) {
      follower = this.#begin(client);
      this.#followers.set(id, follower);
      ended.addEventListener('abort', () => this.#followers.delete(id), { once: true });
    }
    await follower.subscriptions.subscribe(uri, updated, signal);
  }

  /** The upstream told this in the session that is this client's alone. */
  updated(owner: string | undefined, params: Params): void {
    if (owner !== undefined) this.#followers.get(owner)?.subscriptions.updated(params);
  }

  /** The client has a session of its own from this moment on. */
  opened(owner: string | undefined): void {
    const follower = owner === undefined ? undefined : this.#followers.get(owner);
    if (!follower) return;
    follower.moved.abort();
    follower.moved = new AbortController();
  }

  close(): void {
    for (const { subscriptions } of this.#followers.values()) subscriptions.close();
    this.#followers.clear();
  }

  #begin(client: ToolkitClient): Follower {
    const { context } = this.#options;
    const follower: Follower = {
      client,
      subscriptions: new Subscriptions({
        context,
        follow: (uri, call, following) => this.#follow(follower, uri, { ...call, client }, following),
      }),
      moved: new AbortController(),
    };
    return follower;
  }

  async #follow(follower: Follower, uri: string, call: ToolkitCall, following: Following): Promise<void> {
    if (await this.#inOwnSession(uri, call, following)) return;
    const { moved } = follower;
    const end = new AbortController();
    await this.#options.shared.subscribe(uri, following.updated, AbortSignal.any([call.signal, end.signal]));
    following.agreed();
    await untilAborted(AbortSignal.any([call.signal, moved.signal]));
    end.abort();
  }

  /** @returns whether it was followed there, until now */
  async #inOwnSession(uri: string, call: ToolkitCall, { agreed }: Following): Promise<boolean> {
    const { context, lease, timeouts, drop } = this.#options;
    let own: Lease | undefined;
    try {
      own = await lease(call);
      if (!own) return false;
      await own.session.follow(uri, call, timeouts.call, agreed);
      return true;
    } catch (error) {
      call.signal.throwIfAborted();
      context.log.debug("a resource cannot be followed in its client's own session", { error });
      const verdict = own && judge(error, context, { era: own.session.era }, timeouts);
      // A refusal says nothing against the session, whichever status it came with.
      if (own && verdict?.dropped && !(verdict.error instanceof RpcError)) drop(own.session);
      return false;
    } finally {
      own?.release();
    }
  }
}
