import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  CALL_OUTCOMES,
  jsonSize,
  outcomeOfError,
  storableArguments,
  timeOrderedId,
} from '../../src/core/call-record.ts';
import { AppError, ERROR_TABLE, type ErrorCode } from '../../src/core/errors.ts';
import type { CallBeginning, CallLoss, CallRecord, CallRecordStore } from '../../src/core/ports.ts';
import { RpcError } from '../../src/core/rpc-error.ts';
import { type CallRecordsDeps, createCallRecords, recorded } from '../../src/flows/call-records.ts';
import { deferred, fakeClock, seededRandom } from '../support/ports.ts';
import { recordingLog } from '../support/recording-log.ts';

const START = Date.UTC(2026, 10, 23, 12);
const CALL: CallBeginning = {
  key: { kind: 'mcp', name: 'a' },
  actor: 'apikey:a',
  method: 'tools/call',
  tool: 't',
  era: 'modern',
};
const AWAY = new AppError('database_unavailable', 'away');

function world(more: Partial<CallRecordsDeps> = {}) {
  const clock = fakeClock(START);
  const log = recordingLog();
  const records: CallRecord[] = [];
  const losses = new Map<string, CallLoss>();
  const batches: number[] = [];
  const store = {
    answer: async (_records: readonly CallRecord[]): Promise<void> => undefined,
    append: (async (batch, lost) => {
      await store.answer(batch);
      batches.push(batch.length);
      records.push(...batch);
      for (const loss of lost) losses.set(loss.id, loss);
    }) satisfies CallRecordStore['append'] as CallRecordStore['append'],
  };
  const metrics = { callBegan: vi.fn(), callEnded: vi.fn(), callsLost: vi.fn() };
  const calls = createCallRecords({
    store,
    metrics,
    clock,
    random: seededRandom(),
    log,
    replica_id: 'replica-a',
    record_arguments: false,
    settings: { batch: 4, capacity: 6 },
    ...more,
  });
  const make = (count: number) => {
    for (let done = 0; done < count; done += 1) calls.begin(CALL)({ outcome: 'ok' });
  };
  const messages = (level: string) => log.lines.filter((line) => line.level === level).map(({ message }) => message);
  return { clock, log, messages, records, losses, batches, store, metrics, calls, make };
}

describe('the recorder of calls', () => {
  it('keeps who called what, how it ended and how long it took, once', async () => {
    const { calls, clock, records, metrics } = world();
    calls.start();
    const end = calls.begin({ ...CALL, operation: 'GET /a', request_bytes: 12, arguments: { secret: 1 } });
    expect(metrics.callBegan).toHaveBeenCalledWith(CALL.key);
    await clock.advance(250);
    end({ outcome: 'tool_error', response_bytes: 7 });
    end({ outcome: 'ok' });
    await clock.advance(1_000);
    expect(records).toMatchObject([
      {
        occurred_at: START,
        key: CALL.key,
        actor: 'apikey:a',
        method: 'tools/call',
        tool: 't',
        operation: 'GET /a',
        outcome: 'tool_error',
        duration_ms: 250,
        request_bytes: 12,
        response_bytes: 7,
        era: 'modern',
        arguments: null,
        replica_id: 'replica-a',
      },
    ]);
    expect(metrics.callEnded.mock.calls).toEqual([[CALL.key, 'tool_error', 250]]);
    await calls.stop();
  });

  it('keeps arguments where the operator turned that on, as the database can hold them', async () => {
    const { calls, clock, records } = world({ record_arguments: true });
    calls.start();
    calls.begin({ ...CALL, tool: 'a\0b', arguments: { 'k\0': 'v\0\ud800', n: [1] } })({ outcome: 'ok' });
    calls.begin({ ...CALL, arguments: { long: 'x'.repeat(9_000) } })({ outcome: 'ok' });
    await clock.advance(1_000);
    expect(records.map((one) => [one.tool, one.arguments])).toEqual([
      ['a\ufffdb', { 'k\ufffd': 'v\ufffd\ufffd', n: [1] }],
      ['t', { omitted: '9011 characters' }],
    ]);
    await calls.stop();
  });

  it('writes within a second, or as soon as a batch is full, and no call waits for it', async () => {
    const { calls, clock, make, batches, store } = world();
    const writing = deferred();
    store.answer = () => writing.promise;
    calls.start();
    make(5);
    make(1);
    writing.resolve();
    await vi.waitFor(() => expect(batches).toEqual([4, 2]));
    make(1);
    expect(batches).toEqual([4, 2]);
    await clock.advance(1_000);
    expect(batches).toEqual([4, 2, 1]);
    await calls.stop();
  });

  it('lets what comes while it writes fill the next batch, in place of a small one right behind', async () => {
    const { calls, clock, make, batches, store } = world();
    const writing = deferred();
    store.answer = () => writing.promise;
    calls.start();
    make(4);
    await clock.advance(0);
    make(1);
    writing.resolve();
    await vi.waitFor(() => expect(batches).toEqual([4]));
    await clock.advance(500);
    expect(batches).toEqual([4]);
    make(1);
    await clock.advance(500);
    expect(batches).toEqual([4, 2]);
    await calls.stop();
  });

  it('holds them while the database is away, and says so once', async () => {
    const { calls, clock, make, records, store, messages } = world();
    store.answer = () => Promise.reject(AWAY);
    calls.start();
    make(6);
    await clock.advance(60_000);
    expect(messages('warn')).toEqual(['calls wait to be recorded: the database does not answer']);
    store.answer = async () => undefined;
    await clock.advance(60_000);
    expect(records).toHaveLength(6);
    expect(messages('info')).toEqual(['calls are recorded again']);
    await calls.stop();
  });

  it('counts what it could not hold, and writes that count with the time as soon as it can', async () => {
    const { calls, clock, make, records, losses, store, metrics, messages } = world();
    store.answer = () => Promise.reject(AWAY);
    calls.start();
    make(6);
    await clock.advance(5_000);
    make(2);
    await clock.advance(5_000);
    make(1);
    expect(metrics.callsLost.mock.calls).toEqual([[1], [1], [1]]);
    store.answer = async () => undefined;
    await clock.advance(60_000);
    expect(records).toHaveLength(6);
    expect([...losses.values()]).toMatchObject([
      { calls: 3, since: START + 5_000, until: START + 10_000, replica_id: 'replica-a' },
    ]);
    expect(messages('warn')).toContain('calls are not recorded: too many wait for the database');
    expect(messages('warn')).toContain('calls were not recorded');
    await calls.stop();
  });

  it('counts what is lost while a count is being written as another count', async () => {
    const { calls, clock, make, losses, store } = world();
    const writing = deferred();
    store.answer = () => Promise.reject(AWAY);
    calls.start();
    make(8);
    await clock.advance(1_000);
    store.answer = () => writing.promise;
    await clock.advance(60_000);
    make(1);
    writing.resolve();
    await vi.waitFor(() => expect([...losses.values()].map((loss) => loss.calls)).toEqual([2, 1]));
    await calls.stop();
  });

  it('finds the record that the database refuses, counts it, and keeps the others', async () => {
    const { calls, clock, make, records, losses, store, log } = world();
    store.answer = async (batch) => {
      if (batch.some(({ tool }) => tool === 'poison')) throw new AppError('internal', 'refused');
    };
    calls.start();
    make(2);
    calls.begin({ ...CALL, tool: 'poison' })({ outcome: 'ok' });
    make(3);
    await clock.advance(1_000);
    await vi.waitFor(() => expect(records).toHaveLength(5));
    expect([...losses.values()]).toMatchObject([{ calls: 1 }]);
    expect(log.lines.filter(({ level }) => level === 'error')).toMatchObject([{ fields: { call: 'mcp/a' } }]);
    await calls.stop();
  });

  it('writes what is left at the stop, and says how many it could not', async () => {
    const good = world();
    good.calls.start();
    good.make(6);
    await good.calls.stop();
    expect(good.records).toHaveLength(6);
    expect(good.messages('error')).toEqual([]);

    const bad = world();
    bad.store.answer = () => new Promise(() => undefined);
    bad.calls.start();
    bad.make(3);
    const stopped = bad.calls.stop();
    await bad.clock.advance(3_000);
    await stopped;
    expect(bad.log.lines).toMatchObject([{ level: 'error', fields: { calls: 3 } }]);
    bad.make(1);
    expect(bad.messages('error').at(-1)).toBe('a call was not recorded: it ended after the stop');
    expect(bad.metrics.callsLost).toHaveBeenCalledTimes(1);
  });

  it('draws chance for many ids at once, and gives none of it twice', async () => {
    const random = seededRandom();
    const bytes = vi.spyOn(random, 'bytes');
    const { calls, make, records } = world({ random, settings: { batch: 1_000, capacity: 1_000 } });
    calls.start();
    make(600);
    await calls.stop();
    expect(new Set(records.map(({ id }) => id.slice(15))).size).toBe(600);
    expect(bytes.mock.calls.length).toBeLessThan(10);
  });
});

describe('a call that is recorded', () => {
  const begun = () => {
    const end = vi.fn();
    return { end, recorder: { begin: () => end } };
  };
  const { signal } = new AbortController();

  it('is judged by its answer', async () => {
    const { end, recorder } = begun();
    const judge = (answer: string) => ({ outcome: 'ok' as const, response_bytes: answer.length });
    expect(await recorded(recorder, CALL, signal, async () => 'abc', judge)).toBe('abc');
    expect(end.mock.calls).toEqual([[{ outcome: 'ok', response_bytes: 3 }]]);
  });

  it.each([
    ['a JSON-RPC error of the upstream', new RpcError(-32602, 'no'), 'upstream_error'],
    ['a failure of the connection', new AppError('needs_person', 'x'), 'needs_person'],
    ['a fault', new TypeError('x'), 'internal'],
  ])('tells %s, and throws it on', async (_what, error, outcome) => {
    const { end, recorder } = begun();
    await expect(recorded(recorder, CALL, signal, () => Promise.reject(error), vi.fn())).rejects.toBe(error);
    expect(end.mock.calls).toEqual([[{ outcome }]]);
  });

  it('is cancelled where its caller went away', async () => {
    const { end, recorder } = begun();
    const gone = AbortSignal.abort();
    await expect(recorded(recorder, CALL, gone, () => Promise.reject(new Error('x')), vi.fn())).rejects.toThrow('x');
    expect(end.mock.calls).toEqual([[{ outcome: 'cancelled' }]]);
  });
});

describe('the rules of the records', () => {
  it('have an outcome for every code', () => {
    for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
      expect(CALL_OUTCOMES).toContain(outcomeOfError(code));
      expect(outcomeOfError(code)).not.toBe('ok');
    }
  });

  it('make ids that are UUIDs of version 7 and sort by their time', () => {
    const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
    const ms = fc.nat({ max: 2 ** 47 });
    fc.assert(
      fc.property(ms, ms, bytes, bytes, (a, b, of, other) => {
        const [one, two] = [timeOrderedId(a, of), timeOrderedId(b, other)];
        expect(one).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
        if (a < b) expect(one < two).toBe(true);
        expect(Number.parseInt(one.replaceAll('-', '').slice(0, 12), 16)).toBe(a);
      }),
    );
  });

  it('tell the size of JSON without building it, but for what JSON escapes', () => {
    const plain = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'ü') });
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: fc.constantFrom('a', 'b') }), plain, (value, text) => {
        const doc = { value, text };
        const { length } = JSON.stringify(doc);
        expect(Math.abs(jsonSize(doc) - length)).toBeLessThanOrEqual(length * 0.25 + 4);
      }),
    );
    let deep: unknown = [];
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    expect(jsonSize(deep)).toBe(200_001);
    expect(jsonSize({ text: 'x'.repeat(1_000_000) })).toBe(JSON.stringify({ text: 'x'.repeat(1_000_000) }).length);
  });

  it('leave arguments out that are nested without end, however many they are', () => {
    const nested = (levels: number) => {
      let deep: unknown = { end: true };
      for (let level = 0; level < levels; level += 1) deep = level % 2 === 0 ? [deep] : { deep };
      return deep;
    };
    expect(storableArguments(nested(50))).toEqual(nested(50));
    expect(storableArguments(nested(1_000))).toEqual({ omitted: 'nested more than 100 levels deep' });
    expect(storableArguments(nested(100_000))).toEqual({ omitted: expect.stringMatching(/^\d+ characters$/) });
  });

  it('store arguments that PostgreSQL can read back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(storableArguments(value));
        expect(text).not.toMatch(/(^|[^\\])(\\\\)*\\u(0000|d[89a-f])/i);
      }),
    );
  });
});
