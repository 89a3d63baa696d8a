import type { AbortLike } from '../core/cancellation.ts';
import { connectionLabel } from '../core/connection.ts';
import type { Credential } from '../core/credential.ts';
import type { DueCredential, Locker } from '../core/ports.ts';
import type { RefreshFlow, RefreshRequest, RefreshResult } from './api.ts';
import { type AttemptDeps, runAttempt } from './attempt.ts';

export type RefreshDeps = AttemptDeps & { locker: Locker };

/** How often a caller looks whether another replica's attempt has ended. */
const FOLLOW_MS = 250;

type Flight = { promise: Promise<RefreshResult>; forced: boolean; lock_key: bigint | null };

export interface RefreshDoor extends RefreshFlow {
  /** For the loop: the row's advisory lock is already held by this replica and is released here. */
  refreshClaimed(credential: DueCredential, actor: string): Promise<RefreshResult>;
  /** For the loop: a claimed row that is not refreshed now after all. */
  giveBack(credential: DueCredential): Promise<void>;
  /** Lock keys held or wanted by flights of this process: they must not be claimed again. */
  lockKeys(): bigint[];
  /** No new attempts; resolves when all under way have ended or are safe in the escrow (rule 21). */
  stop(): Promise<void>;
}

const forced = (request: RefreshRequest) => request.reason !== 'due';

/** Resolves with the attempt's result, or as soon as the caller gives up: the attempt itself goes on (lesson 4). */
function waitFor(promise: Promise<RefreshResult>, signal: AbortLike | undefined, now: number): Promise<RefreshResult> {
  if (!signal) return promise;
  const gaveUp: RefreshResult = { type: 'waiting', until: now, why: 'the caller stopped waiting' };
  if (signal.aborted) return Promise.resolve(gaveUp);
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(gaveUp);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * The one door for tokens. Every renewal, from the loop, a tool call, an upstream's 401 or the operator's button, goes
 * through here; no caller ever holds a refresh token.
 */
export function createRefreshDoor(deps: RefreshDeps): RefreshDoor {
  const { clock, locker, credentials, settings, log } = deps;
  const flights = new Map<string, Flight>();
  let stopping = false;

  /** Another replica has the lock: wait for what becomes of its attempt, at most as long as an attempt may take. */
  async function follow(request: RefreshRequest, seen: Credential): Promise<RefreshResult> {
    const end = clock.monotonic() + settings.token_deadline;
    while (clock.monotonic() < end) {
      await clock.sleep(FOLLOW_MS);
      // The holder may have died, or let go: then this flight does the work itself.
      if (await locker.tryLock(seen.lock_key)) return runLocked(request, seen.lock_key);
      const row = await credentials.read(request.key);
      if (!row || row.incarnation !== seen.incarnation) return { type: 'gone' };
      if (row.state === 'revoked' && row.revocation) return { type: 'revoked', revocation: row.revocation };
      if (row.generation !== seen.generation) return { type: 'current' };
      if (row.failure && row.failure.last_at !== seen.failure?.last_at) return { type: 'failed', failure: row.failure };
    }
    return { type: 'waiting', until: clock.now() + FOLLOW_MS, why: 'another replica is refreshing' };
  }

  async function lockAndRun(request: RefreshRequest, flight: Flight): Promise<RefreshResult> {
    const row = await credentials.read(request.key);
    if (!row) return { type: 'gone' };
    flight.lock_key = row.lock_key;
    if (!(await locker.tryLock(row.lock_key))) return follow(request, row);
    return runLocked(request, row.lock_key);
  }

  const release = (lock_key: bigint): Promise<void> =>
    locker.unlock(lock_key).catch((error) => log.warn('an advisory lock could not be released', { error }));

  async function runLocked(request: RefreshRequest, lock_key: bigint): Promise<RefreshResult> {
    try {
      return await runAttempt(deps, request);
    } finally {
      await release(lock_key);
    }
  }

  function launch(request: RefreshRequest, lockKey: bigint | null): Promise<RefreshResult> {
    const id = connectionLabel(request.key);
    const flight: Flight = { promise: Promise.resolve({ type: 'gone' }), forced: forced(request), lock_key: lockKey };
    flights.set(id, flight);
    const run = lockKey === null ? lockAndRun(request, flight) : runLocked(request, lockKey);
    flight.promise = run.finally(() => {
      if (flights.get(id) === flight) flights.delete(id);
    });
    return flight.promise;
  }

  async function join(request: RefreshRequest): Promise<RefreshResult> {
    if (stopping) return { type: 'waiting', until: clock.now() + FOLLOW_MS, why: 'this server is stopping' };
    const flight = flights.get(connectionLabel(request.key));
    if (!flight) return launch(request, null);
    const result = await flight.promise;
    // A flight that merely looked and found nothing due is no answer to somebody who has reason to insist.
    return result.type === 'current' && forced(request) && !flight.forced ? join(request) : result;
  }

  return {
    refresh(request) {
      const attempt = join(request);
      attempt.catch(() => undefined);
      return waitFor(attempt, request.signal, clock.now());
    },
    refreshClaimed(credential, actor) {
      const request: RefreshRequest = { key: credential.key, reason: 'due', actor };
      const flight = flights.get(connectionLabel(credential.key));
      if (!flight && !stopping) return launch(request, credential.lock_key);
      // A flight began between the claim and now: it holds the lock already, so the claim's own lock goes back.
      return locker.unlock(credential.lock_key).then(() => flight?.promise ?? { type: 'current' });
    },
    giveBack: ({ lock_key }) => release(lock_key),
    lockKeys: () => [...flights.values()].flatMap(({ lock_key }) => (lock_key === null ? [] : [lock_key])),
    get inFlight() {
      return flights.size;
    },
    async stop() {
      stopping = true;
      while (flights.size > 0 || deps.listening.size > 0 || deps.keeper.unsaved > 0) {
        const promises = [...flights.values()].map(({ promise }) => promise.catch(() => undefined));
        await Promise.race([Promise.all(promises), clock.sleep(FOLLOW_MS)]);
        if (promises.length === 0) await clock.sleep(50);
      }
    },
  };
}
