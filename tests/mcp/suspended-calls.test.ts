import { describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import type { Exchange } from '../../src/mcp/exchange.ts';
import { DEFAULT_SUSPENSION, SuspendedCalls, type SuspensionSettings } from '../../src/mcp/suspended-calls.ts';
import { PRINCIPAL } from './gateway.ts';

const FORM = { message: 'Who?', requestedSchema: { type: 'object', properties: {} } };

function exchangeOf(actor: string): Exchange {
  return {
    era: 'modern',
    viewer: { principal: { ...PRINCIPAL, actor }, connection: undefined },
    signal: new AbortController().signal,
    progressToken: undefined,
    capabilities: { elicitation: {} },
    log_level: undefined,
    notify: () => undefined,
  };
}

function bounded(settings: Partial<SuspensionSettings>) {
  const suspended = new SuspendedCalls({
    clock: systemClock,
    random: systemRandom,
    settings: { ...DEFAULT_SUSPENSION, ...settings },
  });
  const begin = (actor: string) => {
    const call = suspended.open(exchangeOf(actor));
    const ask = (signal = new AbortController().signal) =>
      call.client.ask('elicitation/create', FORM, signal).then(
        () => 'answered',
        ({ message }: Error) => message,
      );
    return { call, ask };
  };
  /** What a question came to at once, if it was refused. */
  const refused = (asked: Promise<string>) => Promise.race([asked, Promise.resolve().then(() => 'waits')]);
  return { suspended, begin, refused };
}

const TOO_MANY = 'Too many calls wait for answers. Try again later.';

describe('calls that wait for their client', () => {
  it('are never more than their bound, however many upstreams ask at the same moment', async () => {
    const { suspended, begin, refused } = bounded({ most_per_principal: 2, most: 3 });
    const calls = ['a', 'a', 'a', 'b', 'b'].map(begin);
    const outcomes = await Promise.all(calls.map(({ ask }) => refused(ask())));
    expect(outcomes).toEqual(['waits', 'waits', TOO_MANY, 'waits', TOO_MANY]);
    suspended.close();
    for (const { call } of calls) call.abandon();
  });

  it('count once, however much their upstreams ask, and no longer than a question is open', async () => {
    const { suspended, begin, refused } = bounded({ most_per_principal: 1 });
    const [one, two] = [begin('a'), begin('a')];
    const asked = one.ask();
    expect(await refused(one.ask())).toBe('waits');
    expect(await refused(two.ask())).toBe(TOO_MANY);
    one.call.answer({ 'elicitation/create-1': { action: 'accept' }, 'elicitation/create-2': { action: 'accept' } });
    expect(await asked).toBe('answered');
    expect(await refused(two.ask())).toBe('waits');
    two.call.abandon();
    suspended.close();
  });

  it('count for as long as they are kept, also when the upstream has withdrawn its question', async () => {
    const { suspended, begin, refused } = bounded({ most_per_principal: 1 });
    const [one, two] = [begin('a'), begin('a')];
    const upstream = new AbortController();
    const asked = one.ask(upstream.signal);
    suspended.suspend(one.call);
    upstream.abort();
    expect(await asked).toBe('The upstream no longer wants an answer.');
    expect(await refused(two.ask())).toBe(TOO_MANY);
    expect(suspended.take(one.call.id, 0)).toBe(one.call);
    expect(await refused(two.ask())).toBe('waits');
    two.call.abandon();
    suspended.close();
  });
});
