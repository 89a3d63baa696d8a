import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { Clock, Sign } from '../core/ports.ts';
import type { Viewer } from '../flows/catalog-api.ts';

/** How long a person may take to answer. */
export const STATE_LIFETIME_MS = 15 * 60_000;

/**
 * What a `requestState` of ours stands for. `relayed`: the upstream's own, to be given back to it. `again`: nothing;
 * the request is repeated as it was. `suspended`: a call that this replica holds open, in one round of it.
 */
export type StateContent =
  | { type: 'relayed'; state: string }
  | { type: 'again' }
  | { type: 'suspended'; call: string; round: number };

type Sealed = StateContent & { for: string; until: number };

/** To whom and for what a state was given: it is worth nothing to another principal, connection or request. */
export type StateBinding = { viewer: Viewer; key: ConnectionKey; method: string; params: Record<string, unknown> };

export interface RequestStates {
  seal(content: StateContent, binding: StateBinding): string;
  /** undefined: not ours, changed, too old, or given for something else. */
  open(state: unknown, binding: StateBinding): StateContent | undefined;
}

/** What a client adds to a repeated request, or may change in it. */
const NOT_BOUND = new Set(['_meta', 'requestState', 'inputResponses']);

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, one]) => [name, sorted(one)]);
}

function boundTo({ viewer, key, method, params }: StateBinding): string {
  const asked = Object.entries(params).filter(([name]) => !NOT_BOUND.has(name));
  const view = viewer.connection ? connectionLabel(viewer.connection) : null;
  const what = [viewer.principal.actor, view, connectionLabel(key), method, sorted(Object.fromEntries(asked))];
  return JSON.stringify(what);
}

/**
 * Signed, not encrypted: the client may read what it carries, and change nothing.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr requestState is attacker-controlled
 */
export function createRequestStates({ sign, clock }: { sign: Sign; clock: Clock }): RequestStates {
  // Signed once more, both: how long the comparison takes then tells nothing about the right signature.
  const equal = (given: string, right: string) => sign(given) === sign(right);
  return {
    seal(content, binding) {
      const sealed = { ...content, for: sign(boundTo(binding)), until: clock.now() + STATE_LIFETIME_MS };
      const text = Buffer.from(JSON.stringify(sealed)).toString('base64url');
      return `${text}.${sign(text)}`;
    },
    open(state, binding) {
      if (typeof state !== 'string') return undefined;
      const [text, signature, ...more] = state.split('.');
      if (text === undefined || signature === undefined || more.length > 0) return undefined;
      if (!equal(signature, sign(text))) return undefined;
      const sealed = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Sealed;
      const { for: given, until, ...content } = sealed;
      return until > clock.now() && given === sign(boundTo(binding)) ? content : undefined;
    },
  };
}
