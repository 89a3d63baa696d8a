import type { AuthEvent } from '../../src/contract/schemas.ts';
import type { Presentation } from '../e2e/token-endpoint.ts';
import { until } from '../support/platform.ts';
import { honouredToken } from './ground-truth.ts';
import { anyRunning, type Connected, expectEcho, running, type Stage } from './stage.ts';

export type Outcome = {
  /**
   * saved: the connection went on without a person. announced: the provider rotated, no reply reached the escrow, and
   * the history said so (nothing can save that). ended: a person ended the grant at the provider, and the history says
   * so. lost: everything else.
   */
  end: 'saved' | 'announced' | 'ended' | 'lost';
  how: string;
  presentations: number;
  repeats: number;
  /** What must not be, whatever the end. */
  violations: string[];
};

export type Claims = {
  /** When the last fault was over. */
  calmAt: number;
  /** Shown by the case, from outside: the provider's last reply was handed to a process that ended before it had written anything. */
  neverEscrowed: boolean;
  endedAtProvider: boolean;
};

const FOLLOW_MS = 60_000;

async function historyOf(stage: Stage, name: string): Promise<AuthEvent[]> {
  return anyRunning(stage).platform.history(name);
}

/** Waits until a token of after the faults works in a tool call at every replica, or the platform has given up. */
async function follow(stage: Stage, connected: Connected, calmAt: number): Promise<'healthy' | 'revoked' | 'stuck'> {
  const { name, family } = connected;
  try {
    return await until(async () => {
      const replicas = running(stage);
      const { state, health } = await anyRunning(stage).platform.status(name);
      if (state === 'revoked') return 'revoked' as const;
      const renewed = stage.endpoint.presentations.some(
        (one) => one.family === family && one.at >= calmAt && one.successor !== null && one.delivered,
      );
      if (!renewed || health !== 'ok') throw new Error('not renewed since the faults ended');
      for (const replica of replicas) await expectEcho(replica, name);
      return 'healthy' as const;
    }, FOLLOW_MS);
  } catch {
    return 'stuck';
  }
}

/** Rule 17, and rule 16's record before it: told as ambiguous first, then as an outcome that was lost. */
function isAnnounced(history: readonly AuthEvent[]): boolean {
  const told = history.findIndex(({ detail }) => detail.ambiguous === true);
  const lost = history.findLastIndex(
    ({ event_type, detail }) => event_type === 'token_deleted_revoked' && detail.reason === 'rotation_outcome_lost',
  );
  return told >= 0 && lost > told;
}

const STORED = new Set(['refresh_succeeded', 'rotation_recovered']);

/** The provider rotated, and nobody of ours was ever given the successor. */
function replyVanished(
  presentations: readonly Presentation[],
  history: readonly AuthEvent[],
  { neverEscrowed }: Claims,
): boolean {
  const rotations = presentations.filter(({ successor }) => successor !== null);
  const stored = history.filter(({ event_type }) => STORED.has(event_type)).length;
  const last = rotations.at(-1);
  return last !== undefined && stored < rotations.length && (!last.delivered || neverEscrowed);
}

function repeatsOf(presentations: readonly Presentation[]): number {
  return presentations.length - new Set(presentations.map(({ token }) => token)).size;
}

function violationsOf(presentations: readonly Presentation[], history: readonly AuthEvent[], claims: Claims): string[] {
  const violations: string[] = [];
  const ambiguous = history.filter(({ detail }) => detail.ambiguous === true).length;
  if (repeatsOf(presentations) > ambiguous) violations.push('a repeat without a recorded ambiguous attempt');
  presentations.forEach((one, index) => {
    for (const later of presentations.slice(index + 1)) {
      const overlaps = one.answered_at === null || later.at < one.answered_at;
      if (overlaps) violations.push('presentations of one connection overlapped');
      const known = later.token === one.token && one.successor !== null && one.delivered && !claims.neverEscrowed;
      if (known) violations.push('a token was presented after its successor had been received');
    }
  });
  return violations;
}

function howSaved(history: readonly AuthEvent[], repeats: number): string {
  if (history.some(({ event_type }) => event_type === 'rotation_recovered')) return 'escrow';
  if (repeats > 0) return 'presented again';
  return history.some(({ detail }) => detail.ambiguous === true) ? 'ambiguous, then resolved' : 'went on';
}

/** Decides by the provider's own store what has become of a connection's grant, and by its history whether it was told. */
export async function judge(stage: Stage, connected: Connected, claims: Claims): Promise<Outcome> {
  const state = await follow(stage, connected, claims.calmAt);
  const presentations = stage.endpoint.presentations.filter(
    ({ family, presented }) => presented && family === connected.family,
  );
  const history = await historyOf(stage, connected.name);
  const repeats = repeatsOf(presentations);
  const honoured = honouredToken(stage.demo.stateFile, connected.grantId) !== undefined;
  const violations = violationsOf(presentations, history, claims);
  const outcome = { presentations: presentations.length, repeats, violations };
  if (state === 'healthy') return { ...outcome, end: 'saved', how: howSaved(history, repeats) };
  if (state === 'revoked' && !honoured) {
    const last = history.findLast(({ event_type }) => event_type === 'refresh_failed_revoked');
    if (claims.endedAtProvider && last?.detail.decided_by === 'idp') return { ...outcome, end: 'ended', how: 'told' };
    if (replyVanished(presentations, history, claims) && isAnnounced(history)) {
      return { ...outcome, end: 'announced', how: 'announced' };
    }
  }
  const told = history.map(({ event_type, detail }) => `${event_type}${detail.ambiguous ? ' (ambiguous)' : ''}`);
  return { ...outcome, end: 'lost', how: `${state}, honoured: ${honoured}; ${told.join(', ')}` };
}
