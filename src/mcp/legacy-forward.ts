import type { Random, ToolkitClient } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { ForwardedMethod, ToolCall, ToolCallOutcome } from '../flows/tool-call.ts';
import { type Exchange, missingCapability, tell, tellProgress } from './exchange.ts';
import { callGone } from './relayed-error.ts';

type Params = Record<string, unknown>;

/** An upstream that is never content would keep the client's user answering for ever. */
const MOST_ROUNDS = 10;

/** The legacy era names each URL that it asks a person to open; the modern one has dropped that. */
function forLegacy(method: string, params: Params, random: Random): Params {
  if (method !== 'elicitation/create' || params.mode !== 'url' || params.elicitationId !== undefined) return params;
  return { ...params, elicitationId: random.uuid() };
}

/** The client behind an exchange of the legacy era, its log level as it is at each moment. */
export function clientOf(exchange: Exchange): ToolkitClient {
  const { capabilities, session, ask } = exchange;
  return {
    capabilities,
    get log_level() {
      return exchange.log_level;
    },
    ...(session ? { session } : {}),
    async ask(method, params, signal) {
      if (!ask || missingCapability(capabilities, method, params)) {
        throw new RpcError(-32601, `The client does not support ${method}.`);
      }
      return ask(method, params, signal);
    },
    notify: (method, params) => tell(exchange, method, params),
  };
}

type InputRequest = { method?: unknown; params?: unknown };

async function answers(client: ToolkitClient, requests: Params, signal: AbortSignal, random: Random): Promise<Params> {
  const answered = Object.entries(requests).map(async ([id, request]): Promise<[string, Params]> => {
    const { method, params } = (request ?? {}) as InputRequest;
    const asked = String(method);
    return [id, await client.ask(asked, forLegacy(asked, (params ?? {}) as Params, random), signal)];
  });
  return Object.fromEntries(await Promise.all(answered));
}

/**
 * A call of a legacy client. Where the upstream is of the modern era and wants the client's input first, the client is
 * asked over its session, and the call is repeated with the answers until it is complete.
 * @throws ProtocolError what the client is told instead of a result; RpcError what the client answered to a question
 */
export async function forwardLegacy(
  deps: { toolCall: ToolCall; random: Random },
  exchange: Exchange,
  method: ForwardedMethod,
  params: Params,
): Promise<Exclude<ToolCallOutcome, { type: 'input_required' }>> {
  const client = clientOf(exchange);
  const onprogress = (progress: { progress: number }) => tellProgress(exchange, progress);
  const call = {
    signal: exchange.signal,
    client,
    ...(exchange.progressToken === undefined ? {} : { onprogress }),
  };
  let given: Params = {};
  for (let round = 0; round <= MOST_ROUNDS; round += 1) {
    const outcome = await deps.toolCall.call(exchange.viewer, method, { ...params, ...given }, call);
    if (outcome.type !== 'input_required') return outcome;
    const { inputRequests, requestState } = outcome.result;
    const inputResponses = await answers(client, (inputRequests ?? {}) as Params, exchange.signal, deps.random);
    given = { inputResponses, ...(requestState === undefined ? {} : { requestState }) };
  }
  throw callGone();
}
