import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createRequestStates, STATE_LIFETIME_MS } from '../../src/mcp/request-state.ts';
import { type EraUpstream, startEraUpstream } from './era-upstream.ts';
import {
  connection,
  EVERYTHING,
  type Gateway,
  type GatewayOptions,
  MemoryStores,
  openGateway,
  signState,
} from './gateway.ts';
import { rawModern } from './raw-modern.ts';

const capabilities = { elicitation: { form: {}, url: {} } };
const invalid = { code: -32602, data: { reason: 'invalid_request_state' } };
const answer = { action: 'accept', content: { name: 'Ada' } };

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function gatewayTo(upstream: EraUpstream, options: GatewayOptions = {}): Promise<Gateway> {
  const connections = options.connections ?? [
    connection('up', { endpoint: upstream.url }),
    connection('other', { endpoint: upstream.url }),
  ];
  const gateway = await openGateway({ ...options, connections });
  cleanup.push(gateway.close);
  await vi.waitFor(() => expect(gateway.names()).toEqual(expect.arrayContaining(['up__ask', 'other__ask'])), {
    timeout: 10_000,
  });
  return gateway;
}

describe.each(['modern', 'legacy'] as const)('the state of a call that waits for its client, %s upstream', (era) => {
  let upstream: EraUpstream;
  let gateway: Gateway;
  let state: string;
  let questions: Record<string, unknown>;
  const name = era === 'modern' ? 'up__ask_twice' : 'up__ask';

  beforeEach(async () => {
    upstream = await startEraUpstream(era);
    cleanup.push(upstream.close);
    gateway = await gatewayTo(upstream);
    const { result } = await rawModern(
      gateway.url,
      'tools/call',
      { name, arguments: { a: 1, b: 2 } },
      { capabilities },
    );
    expect(result).toMatchObject({ resultType: 'input_required' });
    state = String(result?.requestState);
    questions = Object.fromEntries(Object.keys(result?.inputRequests ?? {}).map((key) => [key, answer]));
  });

  const retry = (changed: Record<string, unknown> = {}, options: { actor?: string } = {}) =>
    rawModern(
      gateway.url,
      'tools/call',
      { name, arguments: { b: 2, a: 1 }, inputResponses: questions, requestState: state, ...changed },
      { capabilities, ...options },
    );

  it('is worth something to the same request of the same principal', async () => {
    expect((await retry()).error).toBeUndefined();
  });

  it.each([
    ['that was changed', (given: string) => ({ requestState: `A${given.slice(1)}` })],
    ['with another signature', (given: string) => ({ requestState: `${given.slice(0, -4)}AAAA` })],
    ['that is none', () => ({ requestState: 'nonsense' })],
    ['for other arguments', () => ({ arguments: { a: 2, b: 2 } })],
    ['for another connection', () => ({ name: name.replace('up__', 'other__') })],
    ['for another tool', () => ({ name: 'up__sample' })],
  ])('%s is refused', async (_name, changed) => {
    expect((await retry(changed(state))).error).toMatchObject(invalid);
  });

  it('is refused to another principal, and to another address', async () => {
    expect((await retry({}, { actor: 'apikey:b' })).error).toMatchObject(invalid);
    const elsewhere = await rawModern(
      `${gateway.url}/up`,
      'tools/call',
      { name: name.slice(4), arguments: { a: 1, b: 2 }, inputResponses: questions, requestState: state },
      { capabilities },
    );
    expect(elsewhere.error).toMatchObject(invalid);
  });
});

describe('a call that an old upstream holds open', () => {
  async function suspended(options: GatewayOptions = {}) {
    const upstream = await startEraUpstream('legacy');
    cleanup.push(upstream.close);
    const gateway = await gatewayTo(upstream, options);
    const { result } = await rawModern(gateway.url, 'tools/call', { name: 'up__ask' }, { capabilities });
    const retry = (url = gateway.url) =>
      rawModern(
        url,
        'tools/call',
        {
          name: 'up__ask',
          requestState: result?.requestState,
          inputResponses: Object.fromEntries(Object.keys(result?.inputRequests ?? {}).map((key) => [key, answer])),
        },
        { capabilities },
      );
    return { upstream, gateway, result, retry };
  }

  it('is answered once: the second answer is told to begin again', async () => {
    const { retry } = await suspended();
    expect((await retry()).result).toMatchObject({ content: [{ text: JSON.stringify(answer) }] });
    expect((await retry()).error).toMatchObject({ code: -32603, data: { reason: 'call_gone', retryable: true } });
  });

  it('lives on one replica: another one, which knows the signature, says that it is gone', async () => {
    const { upstream, retry } = await suspended();
    const replica = await gatewayTo(upstream, { memory: new MemoryStores() });
    expect((await retry(replica.url)).error).toMatchObject({ data: { reason: 'call_gone' } });
  });

  it('is given up after a while', async () => {
    const { retry } = await suspended({ face: { suspension: { patience: 30 } } });
    await vi.waitFor(async () => expect((await retry()).error).toMatchObject({ data: { reason: 'call_gone' } }));
  });

  it('is one of a bounded number of each principal', async () => {
    const { gateway } = await suspended({ face: { suspension: { most_per_principal: 1 } } });
    const second = await rawModern(gateway.url, 'tools/call', { name: 'up__ask' }, { capabilities });
    expect(second.result?.resultType).not.toBe('input_required');
    const another = await rawModern(
      gateway.url,
      'tools/call',
      { name: 'up__ask' },
      { capabilities, actor: 'apikey:b' },
    );
    expect(another.result?.resultType).toBe('input_required');
  });

  it('is not begun for a client that has not declared what is asked', async () => {
    const upstream = await startEraUpstream('modern');
    cleanup.push(upstream.close);
    const gateway = await gatewayTo(upstream);
    const { status, error } = await rawModern(gateway.url, 'tools/call', { name: 'up__ask' });
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: -32021, data: { requiredCapabilities: { elicitation: {} } } });
  });
});

it('a state is too old after a quarter of an hour', () => {
  let now = 1_000;
  const states = createRequestStates({ sign: signState, clock: { ...systemClock, now: () => now } });
  const binding = {
    viewer: EVERYTHING,
    key: { kind: 'mcp', name: 'up' },
    method: 'tools/call',
    params: { name: 'up__t' },
  };
  const sealed = states.seal({ type: 'relayed', state: 'theirs' }, binding);
  now += STATE_LIFETIME_MS - 1;
  expect(states.open(sealed, binding)).toEqual({ type: 'relayed', state: 'theirs' });
  now += 1;
  expect(states.open(sealed, binding)).toBeUndefined();
});
