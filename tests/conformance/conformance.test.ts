import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startConformanceFixture } from './fixture-server.ts';
import { REVISIONS, type Report, type Revision, runSuite } from './suite.ts';

let fixture: Fixture;

beforeAll(async () => {
  fixture = await startConformanceFixture();
});
afterAll(async () => {
  await fixture?.close();
});

/** `npm run conformance` names a file, and prints what is in it. */
function tell(target: string, revision: Revision, { code, scenarios }: Report): void {
  const file = process.env.CONFORMANCE_REPORT;
  if (file === undefined) return;
  for (const one of scenarios) appendFileSync(file, `${JSON.stringify({ target, revision, code, ...one })}\n`);
}

/** No list of expected failures: whatever a revision requires holds, and the suite says so itself. */
function expectConformant(report: Report): void {
  const failed = report.scenarios.filter((one) => one.scored && one.failed.length > 0);
  expect(failed, report.said).toEqual([]);
  expect(report.code, report.said).toBe(0);
  // A suite that ran nothing would say 0, too.
  expect(report.scenarios.filter(({ scored, passed }) => scored && passed > 0).length).toBeGreaterThan(25);
}

describe.each(REVISIONS)('what revision %s requires', (revision) => {
  it('holds for the fixture by itself, so that a failure behind the gateway is the gateway’s', async () => {
    const report = await runSuite(fixture.url, revision);
    tell('the fixture itself', revision, report);
    expectConformant(report);
  });
});
