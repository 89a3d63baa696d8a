import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitClient, ToolkitContext } from '../../core/ports.ts';
import { capabilityKey, forwarded } from './capabilities.ts';
import type { Session } from './session.ts';

/** A session for the length of one request; `release` says that the request is over. */
export type Lease = { session: Session; release(): void };

type Audience = { client: ToolkitClient | undefined };
export type OwnDial = {
  capabilities: Record<string, unknown>;
  audience: Audience;
  /** The client's session that it is for; undefined: it is lent. */
  owner: string | undefined;
};

export type OwnSessionsOptions = {
  context: ToolkitContext;
  dial(declared: OwnDial): Promise<Session>;
  bounds?: Partial<typeof BOUNDS>;
};

/**
 * How many conversations one upstream has with us beside the shared one, in all and for one actor, and how long an
 * unused one is kept. A lent one may wait ten minutes for a person: whoever finds none free does not wait for that.
 */
const BOUNDS = {
  conversations: 64,
  lent: 48,
  per_actor: 16,
  patience: 10_000,
  lent_idle: 60_000,
  conversation_idle: 1_800_000,
};

type Own = {
  capabilities: string;
  actor: string;
  /** Set while it belongs to a client's session of its own; else it is lent to one call at a time. */
  owner: string | undefined;
  audience: Audience;
  session: Promise<Session>;
  /** The same once it is there: one that is dropped is forgotten at once, before its call is sent again. */
  opened?: Session;
  /** Requests that are under way, and resources that are followed. */
  users: number;
  followers: number;
  used_at: number;
};

type Use = 'users' | 'followers';

const ROOTS_CHANGED = 'notifications/roots/list_changed';

function taken(own: Own, use: Use): Own {
  own[use] += 1;
  return own;
}

/**
 * Sessions with an upstream of the legacy era in which it may ask a client: it declares capabilities once for the whole
 * session, and its requests do not say which call they belong to. So a client that holds a session with us has one
 * there, and any other gets one for the length of its call.
 */
export class OwnSessions {
  readonly #options: OwnSessionsOptions;
  readonly #bounds: typeof BOUNDS;
  readonly #own = new Set<Own>();
  readonly #closed = new AbortController();
  #waiting: Array<() => void> = [];
  #sweeping = false;

  constructor(options: OwnSessionsOptions) {
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
  }

  /** @throws AppError unavailable when there are too many; whatever `dial` throws; the reason of the signal. */
  async lease(client: ToolkitClient, actor: string, signal: AbortSignal): Promise<Lease> {
    const own = client.session ? this.#ofConversation(client, actor, 'users') : await this.#lent(client, actor, signal);
    own.audience.client = client;
    return this.#leased(own, 'users', signal);
  }

  /**
   * The session of a client for as long as it follows something there. That ends nobody's session, and keeps this one
   * only until a call needs the room: 64 who follow would else leave no other client any. Questions and log messages
   * stay with its last call.
   * @throws AppError unavailable when there is none free; whatever `dial` throws; the reason of the signal.
   */
  async follow(client: ToolkitClient, actor: string, signal: AbortSignal): Promise<Lease> {
    return this.#leased(this.#ofConversation(client, actor, 'followers'), 'followers', signal);
  }

  /** The session is gone: the next lease dials again. */
  forget(session: Session): void {
    for (const own of this.#own) if (own.opened === session) this.#own.delete(own);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const go of this.#waiting.splice(0)) go();
    await Promise.allSettled([...this.#own].map((own) => this.#end(own)));
  }

  async #leased(own: Own, use: Use, signal: AbortSignal): Promise<Lease> {
    let released = false;
    let session: Session | undefined;
    const release = () => {
      if (released) return;
      released = true;
      own[use] -= 1;
      if (own.owner === undefined) own.audience.client = undefined;
      own.used_at = this.#options.context.clock.monotonic();
      // An upstream asks for roots once and keeps them for its session: the next client has others.
      if (own.owner === undefined && session?.knowsRoots) void this.#end(own);
      for (const go of this.#waiting.splice(0)) go();
      void this.#sweep();
    };
    try {
      session = await unlessAborted(own.session, signal);
      return { session, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #ofConversation(client: ToolkitClient, actor: string, use: Use): Own {
    const { id, ended } = client.session as NonNullable<ToolkitClient['session']>;
    const capabilities = capabilityKey(forwarded(client));
    const known = [...this.#own].find((own) => own.owner === id && own.capabilities === capabilities);
    if (known) return taken(known, use);
    const others = [...this.#own].filter(({ owner }) => owner !== undefined);
    if (others.length >= this.#bounds.conversations) {
      const idle = others.filter(({ users }) => users === 0).sort((a, b) => a.used_at - b.used_at);
      if (!idle[0] || use === 'followers') throw this.#tooMany();
      void this.#end(idle[0]);
    }
    const own = taken(this.#open(client, actor, id), use);
    const end = () => void this.#end(own);
    const forget = () => ended.removeEventListener('abort', end);
    ended.addEventListener('abort', end, { once: true });
    // Whoever follows something dials again and again, and its own session may last for days.
    own.session.then((session) => session.ended.addEventListener('abort', forget, { once: true }), forget);
    if (ended.aborted) end();
    return own;
  }

  /**
   * Never one that another actor has used: an upstream may remember in a session what it was told there. It is counted
   * as used at once, so that nobody finds it free before this caller has gone on.
   */
  async #lent(client: ToolkitClient, actor: string, signal: AbortSignal): Promise<Own> {
    const capabilities = capabilityKey(forwarded(client));
    let patience: AbortSignal | undefined;
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed.signal.aborted || patience?.aborted) throw this.#tooMany();
      const lent = [...this.#own].filter(({ owner }) => owner === undefined);
      const mine = lent.filter((own) => own.actor === actor);
      const same = mine.find((own) => own.users === 0 && own.capabilities === capabilities);
      if (same) return taken(same, 'users');
      const full = mine.length >= this.#bounds.per_actor ? mine : lent.length >= this.#bounds.lent ? lent : undefined;
      if (!full) return taken(this.#open(client, actor, undefined), 'users');
      const free = full.find(({ users }) => users === 0);
      if (free) {
        void this.#end(free);
        return taken(this.#open(client, actor, undefined), 'users');
      }
      patience ??= this.#options.context.clock.timeout(this.#bounds.patience);
      await this.#turn(AbortSignal.any([signal, patience]));
    }
  }

  /** Resolves when somebody is through, or when the caller leaves. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting = this.#waiting.filter((one) => one !== go);
        resolve();
      };
      this.#waiting.push(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #open(client: ToolkitClient, actor: string, owner: string | undefined): Own {
    const capabilities = forwarded(client);
    const audience: Audience = { client };
    const own: Own = {
      capabilities: capabilityKey(capabilities),
      actor,
      owner,
      audience,
      session: this.#options.dial({ capabilities, audience, owner }),
      users: 0,
      followers: 0,
      used_at: this.#options.context.clock.monotonic(),
    };
    this.#own.add(own);
    own.session.then(
      (session) => {
        own.opened = session;
        client.session?.onRootsChanged?.(() => void session.tell(ROOTS_CHANGED), session.ended);
      },
      () => this.#own.delete(own),
    );
    return own;
  }

  async #end(own: Own): Promise<void> {
    this.#own.delete(own);
    const session = await own.session.catch(() => undefined);
    await session?.close();
  }

  /** Closes what nobody has used for a while; runs for as long as there is something to close. */
  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { clock } = this.#options.context;
    while (this.#own.size > 0 && !this.#closed.signal.aborted) {
      await clock.sleep(this.#bounds.lent_idle, this.#closed.signal);
      const now = clock.monotonic();
      for (const own of [...this.#own]) {
        const allowed = own.owner === undefined ? this.#bounds.lent_idle : this.#bounds.conversation_idle;
        if (own.users + own.followers === 0 && now - own.used_at >= allowed) void this.#end(own);
      }
    }
    this.#sweeping = false;
  }

  #tooMany(): AppError {
    const label = connectionLabel(this.#options.context.key);
    const text = `Too many clients are in conversation with the upstream of ${label} at once. Try again in a while.`;
    return new AppError('unavailable', text, { retry_after: 30 });
  }
}

/** Waits for work that others share: the caller may leave, the work goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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
