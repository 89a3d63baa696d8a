import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_KEY, TestPlatform } from '../support/platform.ts';
import { type Fixture, startConformanceFixture } from './fixture-server.ts';
import { type AddingProxy, REVISIONS, type Report, type Revision, runSuite, startAddingProxy } from './suite.ts';

let fixture: Fixture;
let old: Fixture;
let platform: TestPlatform;
let proxy: AddingProxy;

beforeAll(async () => {
  fixture = await startConformanceFixture();
  old = await startConformanceFixture({ legacyOnly: true });
  platform = await TestPlatform.start();
  proxy = await startAddingProxy(platform.url, { authorization: `Bearer ${AGENT_KEY}` });
  await platform.putConnection('fixture', { endpoint: fixture.url, auth_mode: 'none' });
  await platform.putConnection('old', { endpoint: old.url, auth_mode: 'none' });
});
afterAll(async () => {
  await proxy?.close();
  await platform?.remove();
  await fixture?.close();
  await old?.close();
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

  it('holds for the fixture behind the gateway, at the address of its connection', async () => {
    const report = await runSuite(`${proxy.origin}/mcp/fixture`, revision);
    tell('through the gateway', revision, report);
    expectConformant(report);
    const unscored = report.scenarios.filter(({ scored, failed }) => !scored && failed.length > 0);
    // An extension that the gateway does not offer.
    expect(unscored.filter(({ name }) => !name.startsWith('tasks-'))).toEqual([]);
  });
});

describe('what revision 2025-11-25 requires', () => {
  it('holds behind the gateway for a fixture that knows nothing newer', async () => {
    const report = await runSuite(`${proxy.origin}/mcp/old`, '2025-11-25');
    tell('through the gateway, a legacy upstream', '2025-11-25', report);
    expectConformant(report);
  });
});
