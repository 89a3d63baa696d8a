import { describe, expect, it } from 'vitest';
import { again, report } from './command.ts';
import type { Fault, Taste } from './plan.ts';
import { type Outcome, playAll } from './schedule.ts';

/** Not with a server that lies: where it holds back refresh tokens there are not three connections to compare. */
const REFUSING = 'a provider that refuses everybody for a while';

/** Mixes that each lean on other rules; with the last one the seed draws its own. */
const MIXES: Record<string, readonly Fault[] | undefined> = {
  'crashes, lost messages and failing disks': ['crash', 'lost', 'disk', 'gone'],
  'outages of the database, lost locks and clocks that jump': ['outage', 'flake', 'lock', 'stall', 'skew'],
  'persons who connect, disconnect and delete at any moment': ['connect', 'disconnect', 'delete', 'crash', 'outage'],
  [REFUSING]: ['refusal', 'outage', 'flake', 'lock', 'stop'],
  'whatever its seed draws': undefined,
};

/** A number of schedules that `npm test` can bear; `npm run simulate` plays any number. */
const SCHEDULES = 72;

/** Plays every mix against servers of these tastes. The seeds are fixed: what fails here fails everywhere. */
export function describeTastes(tastes: readonly Taste[]): void {
  describe.each(tastes)('with a server of taste %s', (taste) => {
    it.each(Object.entries(MIXES).filter(([name]) => taste !== 'lying' || name !== REFUSING))(
      'no token is lost by %s',
      async (_name, faults) => {
        const outcomes: Outcome[] = [];
        await playAll({ taste, faults }, 1, SCHEDULES, (outcome) => void outcomes.push(outcome));
        const failed = outcomes.find(({ violation }) => violation !== null);
        if (failed) {
          const wanted = { seed: failed.plan.seed, taste, faults };
          expect.unreachable(`${again(wanted)}\n${await report(wanted)}`);
        }
        expect(outcomes).toHaveLength(SCHEDULES);
        // A simulation that does nothing finds nothing.
        const presentations = outcomes.reduce((sum, one) => sum + one.presentations, 0);
        expect(presentations).toBeGreaterThan(SCHEDULES);
        expect(outcomes.reduce((sum, { healthy }) => sum + healthy, 0)).toBeGreaterThan(SCHEDULES / 3);
      },
    );
  });
}
