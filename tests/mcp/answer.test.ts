import { expect, it } from 'vitest';
import type { PlainAnswer } from '../../src/core/plain-post.ts';
import { Answer, OpenAnswers } from '../../src/mcp/answer.ts';

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
