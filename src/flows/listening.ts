import type { Clock, Log } from '../core/ports.ts';
import type { ProtocolSettings } from '../core/settings.ts';

export type ListeningDeps = {
  clock: Clock;
  log: Log;
  settings: Pick<ProtocolSettings, 'token_deadline'>;
  /** Attempts of this process whose reply may still come (rule 9): a graceful stop waits for them (rule 21). */
  listening: Set<string>;
};

/** A reason of one's own: without one each abort makes an error with its stack. */
const ANSWERED = 'answered';

/**
 * Waits at most the deadline for an attempt that is on the wire. The attempt itself is never aborted: it listens on, and
 * whatever comes later is handled all the same (rules 8, 9).
 * @param handled the reply's whole way, to its stored outcome
 */
export async function withinDeadline<T>(
  { clock, log, settings, listening }: ListeningDeps,
  attempt_id: string,
  handled: Promise<T>,
): Promise<T | 'late'> {
  listening.add(attempt_id);
  const listened = handled.finally(() => listening.delete(attempt_id));
  const waiting = new AbortController();
  const late = clock.sleep(settings.token_deadline, waiting.signal).then(() => 'late' as const);
  const first = await Promise.race([listened, late]).finally(() => waiting.abort(ANSWERED));
  if (first === 'late') listened.catch((error) => log.error('a late reply could not be handled', { error }));
  return first;
}
