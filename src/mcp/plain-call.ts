import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  classifyInboundRequest,
  LOG_LEVEL_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  SUPPORTED_PROTOCOL_VERSIONS,
} from '@modelcontextprotocol/server';
import { isRecord } from '../core/json-shape.ts';
import type { HeaderReader } from '../core/plain-post.ts';

type Params = Record<string, unknown>;

/** A `tools/call` with nothing unusual about it: what the SDK checks of such a message is checked here. */
export type PlainCall = {
  jsonrpc: '2.0';
  id: string | number;
  method: 'tools/call';
  params: Params & { name: string };
};

export const MODERN = '2026-07-28';

const RESERVED_PREFIX = 'io.modelcontextprotocol/';
const ENVELOPE: readonly string[] = [
  PROTOCOL_VERSION_META_KEY,
  CLIENT_INFO_META_KEY,
  CLIENT_CAPABILITIES_META_KEY,
  LOG_LEVEL_META_KEY,
];
/** How a header tells that its value is encoded. */
const ENCODED_PREFIX = '=?';

function isId(value: unknown): value is string | number {
  return typeof value === 'string' || Number.isSafeInteger(value);
}

/** Anything else, right or wrong, is the SDK's to judge. */
export function isPlainCall(body: unknown): body is PlainCall {
  if (!isRecord(body) || body.method !== 'tools/call' || body.jsonrpc !== '2.0' || !isId(body.id)) return false;
  const { params } = body;
  if (Object.keys(body).length !== 4 || !isRecord(params) || typeof params.name !== 'string') return false;
  if ('inputResponses' in params || 'requestState' in params) return false;
  const { _meta } = params;
  if (_meta === undefined) return true;
  return isRecord(_meta) && (_meta.progressToken === undefined || isId(_meta.progressToken));
}

/** The `_meta` of a call is not of the modern era, and holds nothing that the protocol has reserved. */
function hasNoEnvelope({ params }: PlainCall): boolean {
  const { _meta } = params as { _meta?: Params };
  return _meta === undefined || !Object.keys(_meta).some((key) => key.startsWith(RESERVED_PREFIX));
}

/** Whether these could be the headers of such a call, of either era: a look before the body is read. */
export function mayBePlainCall(headers: HeaderReader): boolean {
  return headers.get('mcp-method') === 'tools/call' || headers.get('mcp-session-id') !== null;
}

/** A call on a session of the legacy era: for all others, the SDK decides which era it is. */
export function isLegacyCall(headers: HeaderReader, body: unknown): body is PlainCall {
  if (!isPlainCall(body) || !hasNoEnvelope(body) || headers.get('mcp-session-id') === null) return false;
  const version = headers.get('mcp-protocol-version');
  if (version !== null && !SUPPORTED_PROTOCOL_VERSIONS.includes(version)) return false;
  const accept = headers.get('accept') ?? '';
  return accept.includes('application/json') && accept.includes('text/event-stream');
}

const MOST_ENVELOPES = 500;
const LONGEST_ENVELOPE = 4_096;

/** Of the modern era, each request says who its client is; the SDK checks the same words once. */
export class ModernCalls {
  readonly #known = new Set<string>();

  /** Whether the SDK would take this for a call of the modern era with the right headers. */
  accepts(headers: HeaderReader, body: unknown): body is PlainCall {
    if (!isPlainCall(body)) return false;
    const { name } = body.params;
    if (headers.get('mcp-protocol-version') !== MODERN || headers.get('mcp-method') !== 'tools/call') return false;
    if (headers.get('mcp-name') !== name || name.startsWith(ENCODED_PREFIX)) return false;
    return this.#knows(body);
  }

  #knows(body: PlainCall): boolean {
    const meta = body.params._meta as Params | undefined;
    if (!meta || meta[PROTOCOL_VERSION_META_KEY] !== MODERN) return false;
    if (Object.keys(meta).some((key) => key.startsWith(RESERVED_PREFIX) && !ENVELOPE.includes(key))) return false;
    const envelope = JSON.stringify(ENVELOPE.map((key) => meta[key]));
    if (this.#known.has(envelope)) return true;
    const accepted = classifyInboundRequest({ httpMethod: 'POST', protocolVersionHeader: MODERN, body });
    if (accepted.kind !== 'modern' || accepted.messageKind !== 'request') return false;
    if (this.#known.size >= MOST_ENVELOPES) this.#known.clear();
    if (envelope.length <= LONGEST_ENVELOPE) this.#known.add(envelope);
    return true;
  }
}

/** What a handler sees of the parameters: without what speaks for the request alone. */
export function withoutEnvelope(params: Params): Params {
  const { _meta, ...rest } = params;
  const kept = Object.entries((_meta ?? {}) as Params).filter(([key]) => !ENVELOPE.includes(key));
  return kept.length === 0 ? rest : { ...rest, _meta: Object.fromEntries(kept) };
}
