import type { ToolkitClient } from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';
import type { ForwardedMethod, ToolCall, ToolCallOutcome } from '../flows/tool-call.ts';
import { canBeAsked, type Exchange, missingCapability, tell, tellProgress } from './exchange.ts';
import { callGone, invalidRequestState, missingClientCapability, URL_ELICITATION_REQUIRED } from './relayed-error.ts';
import type { RequestStates, StateBinding } from './request-state.ts';
import type { OpenCall, Round, SuspendedCalls } from './suspended-calls.ts';

type Params = Record<string, unknown>;

export type ModernForwardDeps = { toolCall: ToolCall; states: RequestStates; suspended: SuspendedCalls };

type Bind = (key: StateBinding['key']) => StateBinding;

export type ModernOutcome =
  | Exclude<ToolCallOutcome, { type: 'input_required' }>
  | { type: 'input_required'; result: Params };

/** A client that nothing can be asked of needs no call that stays open. */
function silentClient(exchange: Exchange): ToolkitClient {
  const { capabilities, log_level } = exchange;
  return {
    capabilities,
    ...(log_level === undefined ? {} : { log_level }),
    ask: (method) => Promise.reject(new RpcError(-32601, `The client does not support ${method}.`)),
    notify: (method, params) => tell(exchange, method, params),
  };
}

type Elicitation = { mode?: unknown; url?: unknown; message?: unknown };

/** Old upstreams refuse until a person has opened a URL; the modern era has a result for that instead of an error. */
function urlsToOpen(data: unknown): Params | undefined {
  const { elicitations } = (data ?? {}) as { elicitations?: unknown };
  if (!Array.isArray(elicitations) || elicitations.length === 0) return undefined;
  return Object.fromEntries(
    elicitations.map((one: Elicitation, index) => {
      const params = { mode: 'url', url: String(one?.url), message: String(one?.message ?? 'Open this page.') };
      return [`url-${index + 1}`, { method: 'elicitation/create', params }];
    }),
  );
}

/**
 * A call of a modern client. An upstream of its era that wants input gets its own `requestState` back through a signed
 * one of ours; an upstream of the legacy era, which asks in the midst of a call, is kept waiting here.
 * @throws ProtocolError what the client is told instead of a result
 */
export async function forwardModern(
  deps: ModernForwardDeps,
  exchange: Exchange,
  method: ForwardedMethod,
  params: Params,
): Promise<ModernOutcome> {
  const { viewer, requestState, inputResponses } = exchange;
  const bind: Bind = (key) => ({ viewer, key, method, params });
  // Most calls neither bring a state nor can be asked for anything: where they lead is looked up once, by the call.
  const canAsk = canBeAsked(exchange.capabilities);
  const key = canAsk || requestState !== undefined ? deps.toolCall.target(viewer, method, params) : undefined;
  const given: Params = inputResponses === undefined ? {} : { inputResponses };
  if (requestState !== undefined) {
    const content = key && deps.states.open(requestState, bind(key));
    if (!content) throw invalidRequestState();
    if (content.type === 'suspended') {
      const call = deps.suspended.take(content.call, content.round);
      if (!call) throw callGone();
      call.answer(inputResponses ?? {});
      return ended(deps, exchange, await call.next(exchange), call, bind(key));
    }
    if (content.type === 'relayed') given.requestState = content.state;
    else delete given.inputResponses;
  }
  const whole = { ...params, ...given };
  if (!key || !canAsk) {
    const call = {
      signal: exchange.signal,
      client: silentClient(exchange),
      ...(exchange.progressToken === undefined
        ? {}
        : { onprogress: (progress: { progress: number }) => tellProgress(exchange, progress) }),
    };
    return translated(deps, exchange, await deps.toolCall.call(viewer, method, whole, call), bind);
  }
  const open = deps.suspended.open(exchange);
  const call = {
    signal: open.signal,
    client: open.client,
    ...(exchange.progressToken === undefined
      ? {}
      : { onprogress: (progress: { progress: number }) => open.progress(progress) }),
  };
  open.begin(deps.toolCall.call(viewer, method, whole, call));
  return ended(deps, exchange, await open.next(exchange), open, bind(key));
}

function ended(
  deps: ModernForwardDeps,
  exchange: Exchange,
  round: Round,
  call: OpenCall,
  binding: StateBinding,
): ModernOutcome {
  if ('done' in round) return translated(deps, exchange, round.done, () => binding);
  deps.suspended.suspend(call);
  const requestState = deps.states.seal({ type: 'suspended', call: round.call, round: round.round }, binding);
  return { type: 'input_required', result: { resultType: 'input_required', inputRequests: round.asked, requestState } };
}

function translated(
  { states }: ModernForwardDeps,
  { capabilities }: Exchange,
  outcome: ToolCallOutcome,
  bind: Bind,
): ModernOutcome {
  if (outcome.type === 'rpc_error' && outcome.code === URL_ELICITATION_REQUIRED) {
    const inputRequests = urlsToOpen(outcome.data);
    if (!inputRequests) return outcome;
    checkAskable(capabilities, inputRequests);
    const requestState = states.seal({ type: 'again' }, bind(outcome.key));
    return { type: 'input_required', result: { resultType: 'input_required', inputRequests, requestState } };
  }
  if (outcome.type !== 'input_required') return outcome;
  const { requestState, inputRequests } = outcome.result;
  checkAskable(capabilities, (inputRequests ?? {}) as Params);
  if (typeof requestState !== 'string') return outcome;
  const sealed = states.seal({ type: 'relayed', state: requestState }, bind(outcome.key));
  return { type: 'input_required', result: { ...outcome.result, requestState: sealed } };
}

/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr only what the client declared */
function checkAskable(capabilities: Params, inputRequests: Params): void {
  for (const request of Object.values(inputRequests)) {
    const { method, params } = (request ?? {}) as { method?: unknown; params?: unknown };
    const missing = missingCapability(capabilities, String(method), (params ?? {}) as Params);
    if (missing) throw missingClientCapability(missing);
  }
}
