import { useSyncExternalStore } from 'react';

// Whether the server last said «not signed in». While it holds, the sign-in page stands in place of every other, at
// the same address, so that nobody reads stale data under an error.

let lost = false;
const listeners = new Set<() => void>();

function set(value: boolean): void {
  if (lost === value) return;
  lost = value;
  for (const listener of listeners) listener();
}

export function loseSession(): void {
  set(true);
}

export function regainSession(): void {
  set(false);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSessionLost(): boolean {
  return useSyncExternalStore(subscribe, () => lost);
}
