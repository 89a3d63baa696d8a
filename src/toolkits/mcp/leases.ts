import type { ToolkitCall, ToolkitClient, ToolkitContext } from '../../core/ports.ts';
import { canBeAsked } from './capabilities.ts';
import { judge } from './failure.ts';
import type { Lease, OwnSessions } from './own-sessions.ts';
import type { Session } from './session.ts';
import { LISTING_CLIENT } from './session.ts';

/** How long a server that speaks the modern era alone is not asked for the other one again. */
const MODERN_ALONE_MS = 3_600_000;
const MODERN_PERHAPS_MS = 60_000;

const NOTHING = () => undefined;

export type LeasesOptions = {
  context: ToolkitContext;
  timeouts: { connect: number; call: number };
  own: OwnSessions;
  drop(session: Session): void;
};

type Use = 'lease' | 'follow';

/** Which session with the upstream a request goes over: the shared one, or one that is its client's alone. */
export class Leases {
  readonly #options: LeasesOptions;
  /** Until when its server is known to hold no sessions of the legacy era beside the modern one. */
  #modern_alone_until = 0;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /**
   * The shared session, but for a client that an upstream of the legacy era may ask or tell something.
   * @throws AppError unavailable when too many have one of their own; whatever a dial throws; the reason of the signal.
   */
  async call(shared: Session, call: ToolkitCall): Promise<Lease> {
    return (await this.#own(shared, call, 'lease')) ?? { session: shared, release: NOTHING };
  }

  /**
   * The session in which the calls of a client go that holds one with us. undefined: the shared one.
   * @throws as `call` does
   */
  follow(shared: Session, call: ToolkitCall): Promise<Lease | undefined> {
    return this.#own(shared, call, 'follow');
  }

  async #own(shared: Session, call: ToolkitCall, use: Use): Promise<Lease | undefined> {
    const { client } = call;
    if (!client || client === LISTING_CLIENT || !(canBeAsked(client) || client.log_level !== undefined))
      return undefined;
    if (shared.era === 'modern') return this.#inItsOwnEra(client, call, use);
    return this.#leaseOwn(client, call, use);
  }

  /**
   * Tools that were written for the legacy era ask in the midst of a call, also where their server has learnt the modern
   * one, in which they then fail: a client of the legacy era that holds a session gets one there, if there are any.
   */
  async #inItsOwnEra(client: ToolkitClient, call: ToolkitCall, use: Use): Promise<Lease | undefined> {
    const { context, timeouts, drop } = this.#options;
    const { clock, config } = context;
    if (!client.session || !config.endpoint || clock.now() < this.#modern_alone_until) return undefined;
    let lease: Lease;
    try {
      lease = await this.#leaseOwn(client, call, use);
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      const { code } = judge(error, context, { era: undefined }, timeouts).error;
      // What was refused stays so; what could not be reached may be there in a minute.
      const refused = typeof code === 'number' || code === 'upstream_failed';
      if (code !== 'unavailable') {
        this.#modern_alone_until = clock.now() + (refused ? MODERN_ALONE_MS : MODERN_PERHAPS_MS);
      }
      return undefined;
    }
    if (lease.session.isConversation) return lease;
    lease.release();
    drop(lease.session);
    this.#modern_alone_until = clock.now() + MODERN_ALONE_MS;
    return undefined;
  }

  async #leaseOwn(client: ToolkitClient, call: ToolkitCall, use: Use): Promise<Lease> {
    const { own, timeouts, drop } = this.#options;
    const lease = await own[use](client, call.principal.actor, call.signal);
    try {
      await lease.session.setLogLevel(call, timeouts.call);
      return lease;
    } catch (error) {
      lease.release();
      if (!call.signal.aborted) drop(lease.session);
      throw error;
    }
  }
}
