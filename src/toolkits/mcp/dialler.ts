import type { PriorDiscovery } from '@modelcontextprotocol/client';
import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import type { DialOptions, Way } from './dial.ts';
import { dial } from './dial.ts';
import { HttpFailure } from './http-carrier.ts';
import type { Session } from './session.ts';
import { SseTransport } from './sse.ts';
import type { Program } from './stdio.ts';
import { createUpstreamFetch } from './upstream-fetch.ts';

/** A server that has learnt the modern era still answers `initialize`: an old verdict would never fail loudly. */
const LEGACY_VERDICT_MS = 3_600_000;

type Verdict = { kind: Way['kind']; era: 'legacy' | 'modern'; at: number };
type DialInput = Pick<DialOptions, 'connect_timeout' | 'capabilities' | 'audience' | 'hooks'>;

/** A POST that is refused like this may have met a server of 2024-11-05, whose endpoint is a stream that is read. */
function mayBeSse(error: unknown): boolean {
  const shape = error as { code?: unknown; data?: { status?: unknown } } | undefined;
  const status = error instanceof HttpFailure ? error.status : shape?.data?.status;
  if (typeof status !== 'number') return false;
  return status >= 400 && status < 500 && ![401, 403, 429].includes(status);
}

/**
 * Knows how its upstream is reached, and remembers what was found out about it.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility
 */
export class Dialler {
  readonly #context: ToolkitContext;
  readonly #version: string;
  readonly #program: Program | 'refused' | undefined;
  #verdict: Verdict | undefined;

  constructor(context: ToolkitContext, version: string, program: Program | 'refused' | undefined) {
    this.#context = context;
    this.#version = version;
    this.#program = program;
  }

  /** Whether it is time to find out the era anew. */
  isStale(): boolean {
    const verdict = this.#verdict;
    return verdict?.era === 'legacy' && verdict.kind !== 'sse' && !this.#isFresh(verdict);
  }

  async dial(input: DialInput): Promise<Session> {
    if (this.#program === 'refused') {
      const text = `The command of ${connectionLabel(this.#context.key)} is not run: the configuration file of this server does not declare it just so.`;
      throw new AppError('invalid_config', text);
    }
    const program = this.#program;
    if (program) {
      return program.started(() => this.#by({ kind: 'stdio', transport: () => program.transport() }, input));
    }
    const { transport } = this.#context.config;
    const known = this.#verdict && this.#isFresh(this.#verdict) ? this.#verdict.kind : undefined;
    if (transport === 'sse' || (transport !== 'streamable-http' && known === 'sse'))
      return this.#by(this.#sse(input.connect_timeout), input);
    try {
      return await this.#by(this.#http(), input);
    } catch (error) {
      if (transport === 'streamable-http' || !mayBeSse(error)) throw error;
      return await this.#by(this.#sse(input.connect_timeout), input).catch((second: unknown) => {
        this.#context.log.debug('the upstream is no server of the HTTP+SSE transport either', { error: second });
        throw error;
      });
    }
  }

  async #by(way: Way, input: DialInput): Promise<Session> {
    const { clock } = this.#context;
    const fresh = this.#verdict?.kind === way.kind && this.#isFresh(this.#verdict);
    // A session with a client's own capabilities is only ever wanted of the legacy era.
    const prior: PriorDiscovery | undefined = fresh || input.capabilities ? { kind: 'legacy' } : undefined;
    const session = await dial({ context: this.#context, version: this.#version, way, prior, ...input });
    if (!prior) this.#verdict = { kind: way.kind, era: session.era, at: clock.now() };
    return session;
  }

  #isFresh({ era, at }: Verdict): boolean {
    return era === 'legacy' && this.#context.clock.now() - at < LEGACY_VERDICT_MS;
  }

  #endpoint(): URL {
    return new URL(String(this.#context.config.endpoint));
  }

  #http(): Way {
    const endpoint = this.#endpoint();
    return { kind: 'streamable-http', endpoint, fetch: createUpstreamFetch(this.#context, endpoint) };
  }

  #sse(timeout: number): Way {
    const endpoint = this.#endpoint();
    const fetch = createUpstreamFetch(this.#context, endpoint);
    return { kind: 'sse', transport: () => new SseTransport(this.#context, endpoint, fetch, timeout) };
  }
}
