import {
  CLIENT_CAPABILITIES_META_KEY,
  LOG_LEVEL_META_KEY,
  ProtocolError,
  SERVER_INFO_META_KEY,
} from '@modelcontextprotocol/server';
import { isRecord } from '../core/json-shape.ts';
import type { HeaderReader, PlainAnswer } from '../core/plain-post.ts';
import type { Viewer } from '../flows/catalog-api.ts';
import { Answer, type OpenAnswers } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { wantsParamHeaders } from './param-headers.ts';
import { ModernCalls, type PlainCall, withoutEnvelope } from './plain-call.ts';
import { guarded, identityOf, progressTokenOf, type ServerDeps } from './protocol-server.ts';
import { MISSING_CLIENT_CAPABILITY } from './relayed-error.ts';
import { answerRequest, offers } from './requests.ts';

type Params = Record<string, unknown>;

const INTERNAL_ERROR = -32603;
/** Neither era has it for a call. */
const RESOURCE_NOT_FOUND = -32002;
const INVALID_PARAMS = -32602;

/** What a JSON-RPC error looks like to the client of a call. */
export function errorMessage(id: PlainCall['id'], error: unknown): Params & { error: Params & { code: number } } {
  const { code, message, data } = error as { code?: unknown; message?: unknown; data?: unknown };
  const told = Number.isSafeInteger(code) ? (code as number) : INTERNAL_ERROR;
  return {
    jsonrpc: '2.0',
    id,
    error: {
      code: told === RESOURCE_NOT_FOUND ? INVALID_PARAMS : told,
      message: error instanceof ProtocolError ? String(message) : 'Internal error',
      ...(data === undefined ? {} : { data }),
    },
  };
}

/**
 * Structured content that is no object is told in words, too, unless the upstream did so.
 * @see https://modelcontextprotocol.io/seps/2106 §4.3
 */
function withText(result: Params): Params {
  const { structuredContent, content } = result;
  if (structuredContent === undefined || isRecord(structuredContent)) return result;
  const blocks: unknown[] = Array.isArray(content) ? content : [];
  if (blocks.some((block) => isRecord(block) && block.type === 'text')) return result;
  return { ...result, content: [...blocks, { type: 'text', text: JSON.stringify(structuredContent) }] };
}

/** A result as the modern era wants it: with its type, and with the server's name. */
function stamped(result: Params, serverInfo: Params): Params {
  const { resultType = 'complete', _meta } = result;
  if (_meta !== undefined && (!isRecord(_meta) || _meta[SERVER_INFO_META_KEY] !== undefined)) {
    return { ...result, resultType };
  }
  return { ...result, resultType, _meta: { ..._meta, [SERVER_INFO_META_KEY]: serverInfo } };
}

/** What a call needs of its request. */
export type Asking = { headers: HeaderReader; onGone(left: () => void): void };

/** Nobody reads it. */
const LEFT: PlainAnswer = { status: 499, headers: {}, body: '' };

/**
 * Calls of the modern era without a server of the SDK for each: that, with its transport and its checks by schema, costs
 * more than the rest of our side of a call. What is not plainly right goes to the SDK.
 */
export class DirectCalls {
  readonly #deps: ServerDeps;
  readonly #open: OpenAnswers;
  readonly #calls = new ModernCalls();

  constructor(deps: ServerDeps, open: OpenAnswers) {
    this.#deps = deps;
    this.#open = open;
  }

  /** undefined: the SDK's to answer. */
  answer(asking: Asking, body: unknown, viewer: Viewer): Promise<PlainAnswer | Response> | undefined {
    if (!this.#calls.accepts(asking.headers, body)) return undefined;
    const view = this.#deps.catalog.view(viewer);
    if (!offers(view, body.method) || wantsParamHeaders(view, body.params)) return undefined;
    const gone = new AbortController();
    const answer = new Answer({}, () => gone.abort());
    const leave = () => {
      if (answer.abandon(LEFT)) gone.abort();
    };
    asking.onGone(leave);
    this.#open.add(answer, leave);
    const exchange = this.#exchange(body, viewer, gone.signal, (method, params) => {
      if (method === 'notifications/message' && !view.about.capabilities.logging) return;
      answer.tell({ jsonrpc: '2.0', method, params });
    });
    void this.#run(body, exchange, answer, identityOf(this.#deps, viewer, view));
    return answer.response;
  }

  async #run({ id, method, params }: PlainCall, exchange: Exchange, answer: Answer, identity: Params): Promise<void> {
    try {
      const answered = () => answerRequest(this.#deps, exchange, method, withoutEnvelope(params), withText);
      const result = await guarded(this.#deps, method, answered);
      answer.finish({ jsonrpc: '2.0', id, result: stamped(result, identity) });
    } catch (error) {
      const told = errorMessage(id, error);
      answer.finish(told, told.error.code === MISSING_CLIENT_CAPABILITY ? 400 : 200);
    } finally {
      this.#open.delete(answer);
    }
  }

  #exchange({ params }: PlainCall, viewer: Viewer, signal: AbortSignal, notify: Exchange['notify']): Exchange {
    const meta = params._meta as Params;
    const level = meta[LOG_LEVEL_META_KEY];
    return {
      era: 'modern',
      viewer,
      signal,
      progressToken: progressTokenOf(params),
      capabilities: meta[CLIENT_CAPABILITIES_META_KEY] as Params,
      log_level: typeof level === 'string' ? level : undefined,
      notify,
    };
  }
}
