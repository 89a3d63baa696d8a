import type { Server } from '@modelcontextprotocol/server';
import type { PlainAnswer } from '../core/plain-post.ts';
import { Answer, type OpenAnswers } from './answer.ts';
import { errorMessage } from './direct-call.ts';
import { canBeAsked, type Exchange } from './exchange.ts';
import type { LegacyConversation } from './legacy-conversation.ts';
import type { PlainCall } from './plain-call.ts';
import { guarded, progressTokenOf, projection, type ServerDeps } from './protocol-server.ts';
import { answerRequest, offers, type Project } from './requests.ts';

type Params = Record<string, unknown>;

/** A cancelled call has no answer: a stream that ends at once. */
const CANCELLED: PlainAnswer = { status: 200, headers: { 'content-type': 'text/event-stream' }, body: '' };

/**
 * The calls of one session of the legacy era that need nothing of the SDK's server: those of a client that cannot be asked
 * anything meanwhile. Their answer is JSON where the SDK's transport opens a stream for each.
 */
export class LegacyCalls {
  readonly #deps: ServerDeps;
  readonly #open: OpenAnswers;
  readonly #server: Server;
  readonly #conversation: LegacyConversation;
  readonly #project: Project;
  readonly #cancel = new Map<PlainCall['id'], () => void>();

  constructor(deps: ServerDeps, open: OpenAnswers, server: Server, conversation: LegacyConversation) {
    this.#deps = deps;
    this.#open = open;
    this.#server = server;
    this.#conversation = conversation;
    this.#project = projection(server);
  }

  /** Of the client's messages, those that cancel a call are heard here, too. */
  hear(body: unknown): void {
    const { method, params } = (body ?? {}) as { method?: unknown; params?: { requestId?: unknown } };
    if (method === 'notifications/cancelled') this.#cancel.get(params?.requestId as PlainCall['id'])?.();
  }

  /** The session is over. */
  end(): void {
    for (const cancel of [...this.#cancel.values()]) cancel();
  }

  /** @returns undefined: the SDK's to answer. `ended` is called when the answer is complete. */
  answer(body: PlainCall, session: string, ended: () => void): Promise<PlainAnswer | Response> | undefined {
    const capabilities = (this.#server.getClientCapabilities() ?? {}) as Params;
    const { viewer } = this.#conversation;
    const { id } = body;
    if (canBeAsked(capabilities) || this.#cancel.has(id)) return undefined;
    if (!offers(this.#deps.catalog.view(viewer), body.method)) return undefined;
    const cancelled = new AbortController();
    // As the SDK does it: a client that closes the stream has not cancelled the call.
    const answer = new Answer({ 'mcp-session-id': session }, () => undefined);
    const cancel = () => {
      if (answer.abandon(CANCELLED)) cancelled.abort();
    };
    this.#cancel.set(id, cancel);
    this.#open.add(answer, cancel);
    void this.#run(body, this.#exchange(body, capabilities, answer, cancelled.signal), answer, ended);
    return answer.response;
  }

  async #run({ id, method, params }: PlainCall, exchange: Exchange, answer: Answer, ended: () => void): Promise<void> {
    try {
      const answered = () => answerRequest(this.#deps, exchange, method, params, this.#project);
      answer.finish({ jsonrpc: '2.0', id, result: await guarded(this.#deps, method, answered) });
    } catch (error) {
      answer.finish(errorMessage(id, error));
    } finally {
      this.#cancel.delete(id);
      this.#open.delete(answer);
      ended();
    }
  }

  #exchange({ params }: PlainCall, capabilities: Params, answer: Answer, signal: AbortSignal): Exchange {
    const conversation = this.#conversation;
    const { viewer, id, ended } = conversation;
    return {
      era: 'legacy',
      viewer,
      signal,
      progressToken: progressTokenOf(params),
      capabilities,
      get log_level() {
        return conversation.log_level;
      },
      session: { id, ended },
      notify: (method, told) => {
        const { logging } = this.#deps.catalog.view(viewer).about.capabilities;
        if (method === 'notifications/message' && !logging) return;
        // What comes after the answer goes over the client's own stream of notifications.
        if (answer.tell({ jsonrpc: '2.0', method, params: told })) return;
        this.#server.notification({ method, params: told } as Notification).catch(() => undefined);
      },
    };
  }
}

type Notification = Parameters<Server['notification']>[0];
