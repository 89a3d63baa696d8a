import { expect, it } from 'vitest';
import { NOTHING_LISTED } from '../../src/core/upstream-catalog.ts';
import { CatalogMember, DEFAULT_MEMBER_SETTINGS } from '../../src/flows/catalog-member.ts';
import { connection, silentLog } from '../mcp/gateway.ts';
import { fakeClock, seededRandom } from '../support/ports.ts';
import { fakeToolkit, fakeUpstream, tool } from './fake-toolkit.ts';

it('an upstream that says at every listing that its tools changed is read less and less often', async () => {
  const clock = fakeClock(1_000);
  const upstream = fakeUpstream(tool('x'));
  const restless = connection('a', {}, 'one');
  const opened = fakeToolkit('one', new Map([['a', upstream]])).connect({ key: restless.key } as never);
  const member = new CatalogMember(
    restless,
    {
      ...opened,
      async request(method, params, call) {
        if (method === 'tools/list') upstream.changed('tools');
        return opened.request(method, params, call);
      },
    },
    NOTHING_LISTED,
    {
      settings: DEFAULT_MEMBER_SETTINGS,
      clock,
      random: seededRandom(),
      log: silentLog,
      asks: true,
      limited: (work) => work(),
      changed: () => undefined,
      drifted: () => undefined,
    },
  );
  for (let second = 0; second < 120; second += 1) await clock.advance(1_000);
  const listings = () => upstream.calls.filter(({ method }) => method === 'tools/list').length;
  const after = listings();
  expect(after).toBeGreaterThan(5);
  expect(after).toBeLessThan(40);
  for (let second = 0; second < 60; second += 1) await clock.advance(1_000);
  // It is still read, for it may be telling the truth.
  expect(listings()).toBeGreaterThan(after);
  await member.close();
});
