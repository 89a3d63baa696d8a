import { describe, expect, it } from 'vitest';
import type { PlainAnswer } from '../../src/core/plain-post.ts';
import { Answer, OpenAnswers } from '../../src/mcp/answer.ts';
import { MOST_WAITING } from '../../src/mcp/event-stream.ts';

/** A clock whose sleepers wake when the test says so. */
function handClock() {
  const sleepers: Array<() => void> = [];
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        sleepers.push(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
    timeout: () => new AbortController().signal,
  };
  const beat = async () => {
    for (const wake of sleepers.splice(0)) wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, beat, sleepers };
}

it('becomes a stream when nothing was said of the call for long, and is kept alive', async () => {
  const { clock, beat } = handClock();
  const open = new OpenAnswers(clock);
  const answer = new Answer({}, () => undefined);
  open.add(answer, () => undefined);
  await beat();
  await beat();
  const response = (await answer.response) as Response;
  await beat();
  answer.finish({ id: 1 });
  open.delete(answer);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  expect(await response.text()).toBe(': keepalive\n\nevent: message\ndata: {"id":1}\n\n');
});

it('needs no timer once no call is under way', async () => {
  const { clock, beat, sleepers } = handClock();
  const open = new OpenAnswers(clock);
  const answer = new Answer({}, () => undefined);
  open.add(answer, () => undefined);
  open.delete(answer);
  await beat();
  expect(sleepers).toHaveLength(0);
});

it('ends every call that is under way when it is closed', () => {
  const { clock } = handClock();
  const open = new OpenAnswers(clock);
  const answer = new Answer({}, () => undefined);
  let ended = 0;
  open.add(answer, () => {
    ended += 1;
  });
  open.close();
  expect(ended).toBe(1);
});

it('says something else instead of a message that cannot be written', async () => {
  const answer = new Answer({}, () => undefined);
  const endless: Record<string, unknown> = {};
  endless.self = endless;
  expect(() => answer.finish(endless)).toThrow(TypeError);
  answer.finish({ error: 1 });
  expect(JSON.parse(((await answer.response) as PlainAnswer).body)).toEqual({ error: 1 });
});

it('tells when whoever reads the stream leaves', async () => {
  let left = false;
  const answer = new Answer({}, () => {
    left = true;
  });
  answer.tell({ method: 'notifications/progress' });
  await ((await answer.response) as Response).body?.cancel();
  expect(left).toBe(true);
});

describe('for a client that does not read', () => {
  const text = 'x'.repeat(1_000);
  const progress = (count: number) => ({ method: 'notifications/progress', params: { progress: count, text } });
  const log = (count: number) => ({ method: 'notifications/message', params: { data: count, text } });

  async function readLate(answer: Answer): Promise<Record<string, unknown>[]> {
    const body = await ((await answer.response) as Response).text();
    expect(body.length).toBeLessThan(MOST_WAITING * 1.1);
    return [...body.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(String(data)) as Record<string, unknown>);
  }

  it('old progress is given up first, and the result never', async () => {
    const answer = new Answer({}, () => undefined);
    answer.tell(log(0));
    answer.tell(log(1));
    for (let count = 0; count < 5_000; count += 1) answer.tell(progress(count));
    answer.finish({ id: 1, result: {} });
    const messages = await readLate(answer);
    expect(messages.slice(0, 2)).toEqual([log(0), log(1)]);
    expect(messages.slice(-2)).toEqual([progress(4_999), { id: 1, result: {} }]);
    const counts = messages.slice(2, -1).map(({ params }) => (params as { progress: number }).progress);
    expect(counts).toEqual(counts.map((_, index) => 5_000 - counts.length + index));
  });

  it('old messages are given up where there is no progress, and a large result is still whole', async () => {
    const answer = new Answer({}, () => undefined);
    for (let count = 0; count < 5_000; count += 1) answer.tell(log(count));
    const result = 'y'.repeat(2 * MOST_WAITING);
    answer.finish({ id: 1, result });
    const body = await ((await answer.response) as Response).text();
    expect(body.length).toBeLessThan(3.2 * MOST_WAITING);
    expect(body.endsWith(`event: message\ndata: {"id":1,"result":"${result}"}\n\n`)).toBe(true);
    expect(body).toContain(JSON.stringify(log(4_999)));
    expect(body).not.toContain(JSON.stringify(log(1)));
  });

  it('no signs of life pile up behind what it has not read', async () => {
    const answer = new Answer({}, () => undefined);
    answer.tell(log(0));
    answer.tell(log(1));
    for (let count = 0; count < 100; count += 1) answer.beat();
    answer.finish({ id: 1 });
    expect(await ((await answer.response) as Response).text()).not.toContain('keepalive');
  });
});
