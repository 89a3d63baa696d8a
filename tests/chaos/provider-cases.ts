import { expect } from 'vitest';
import type { Mishap } from '../e2e/token-endpoint.ts';
import { until } from '../support/platform.ts';
import type { ChaosCase, Run } from './chaos-case.ts';
import { accessTokenEnded, answered, arrived } from './steps.ts';

const toldAmbiguous = ({ replica, connected }: Run) =>
  until(async () => {
    const history = await replica.platform.history(connected.name, 'refresh_failed_transient');
    expect(history.some(({ detail }) => detail.ambiguous === true)).toBe(true);
  });

/** Every refresh meets with one of these, in turn, until the access token has ended; the provider sees none of them. */
async function flap(run: Run, mishaps: readonly Mishap[]): Promise<void> {
  let count = 0;
  run.stage.endpoint.mishaps(() => mishaps[count++ % mishaps.length]);
  await until(() => expect(count).toBeGreaterThanOrEqual(mishaps.length), 90_000);
  run.stage.endpoint.mishaps(undefined);
}

/** The identity provider hangs, flaps, restarts and takes grants back. */
export const PROVIDER: readonly ChaosCase[] = [
  {
    name: 'provider slow: the reply comes after the deadline',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      await toldAmbiguous(run);
      held.release();
    },
  },
  {
    name: 'provider hangs, and never processes it',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('request');
      await arrived(held);
      await toldAmbiguous(run);
      await until(() => expect(run.stage.endpoint.open()).toBe(0));
      held.release();
    },
  },
  {
    name: 'provider flaps: 503, web page, reset',
    ends: ['saved'],
    repeats: 0,
    act: (run) => flap(run, ['unavailable', 'web_page', 'reset', 'unavailable']),
  },
  {
    name: 'provider away for longer than an access token lives',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      run.stage.endpoint.mishaps(() => 'unavailable');
      await accessTokenEnded(run, run.replica);
      run.stage.endpoint.mishaps(undefined);
    },
  },
  {
    name: 'provider killed and started again in mid-flight',
    ends: ['saved'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('request');
      await arrived(held);
      await run.stage.demo.identityProvider.kill();
      held.release();
      await toldAmbiguous(run);
      await run.stage.demo.identityProvider.restart();
    },
  },
  {
    name: 'provider rotated, and the network lost the reply',
    ends: ['announced'],
    repeats: 1,
    async act(run) {
      let lost = false;
      run.stage.endpoint.mishaps(() => {
        const first = !lost;
        lost = true;
        return first ? 'reply_lost' : undefined;
      });
      await until(() => expect(answered(run)).toBeGreaterThan(0));
    },
  },
  {
    name: 'grant taken back before the provider processed a refresh',
    ends: ['ended'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('request');
      await arrived(held);
      await run.stage.endpoint.revoke();
      run.endedAtProvider();
      held.release();
    },
  },
  {
    name: 'grant taken back while the reply is on the way',
    ends: ['ended'],
    repeats: 0,
    async act(run) {
      const held = run.stage.endpoint.holdNextRefresh('reply');
      await arrived(held);
      await run.stage.endpoint.revoke();
      run.endedAtProvider();
      held.release();
    },
  },
];
