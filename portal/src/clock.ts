import { useSyncExternalStore } from 'react';

/** The portal's only teller of time. */
export function now(): number {
  return Date.now();
}

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** A text that depends on the time; the component renders again only when the text itself has changed. */
export function useTimedText(text: (now: number) => string): string {
  return useSyncExternalStore(subscribe, () => text(now()));
}
