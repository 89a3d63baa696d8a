import { expect, it, vi } from 'vitest';
import { type AbortLike, Cancellation } from '../../src/core/cancellation.ts';

/** What both tell whoever listens, in order, when they are aborted twice. */
function told(signal: AbortLike, abort: (reason?: unknown) => void): unknown[] {
  const heard: unknown[] = [];
  const listener = (name: string) => () => heard.push([name, signal.aborted, signal.reason]);
  const gone = listener('gone');
  signal.addEventListener('abort', listener('first'), { once: true });
  signal.addEventListener('abort', gone);
  signal.addEventListener('abort', listener('second'));
  signal.removeEventListener('abort', gone);
  signal.removeEventListener('abort', gone);
  heard.push(signal.aborted, signal.reason);
  signal.throwIfAborted();
  abort('why');
  abort('again');
  signal.addEventListener('abort', listener('late'));
  try {
    signal.throwIfAborted();
  } catch (error) {
    heard.push(['thrown', error]);
  }
  return heard;
}

it('tells whoever listens what an AbortSignal would tell', () => {
  const real = new AbortController();
  const ours = new Cancellation();
  const expected = told(real.signal, (reason) => real.abort(reason));
  expect(told(ours, (reason) => ours.abort(reason))).toEqual(expected);
  expect(expected).toContainEqual(['second', true, 'why']);
});

it('has an error for a reason where none is given, and is waited for like any signal', () => {
  const ours = new Cancellation();
  const listener = vi.fn();
  ours.addEventListener('abort', listener);
  ours.abort();
  expect(listener).toHaveBeenCalledTimes(1);
  expect(ours.reason).toBeInstanceOf(Error);
});
