import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { launchBrowser, screenshot } from '../browser/browser-page.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform } from '../support/platform.ts';
import { connectionBy, startTokenEndpoint, type TokenEndpoint } from './token-endpoint.ts';

const NAME = 'everything';

describe('a person with a browser, from the sign-in link to the history', () => {
  let demo: DemoParts;
  let platform: TestPlatform;
  let endpoint: TokenEndpoint;
  let browser: Awaited<ReturnType<typeof launchBrowser>>;
  let page: Awaited<ReturnType<typeof launchBrowser>>;

  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 20, refreshIdleTtl: 120 });
    platform = await TestPlatform.start();
    endpoint = await startTokenEndpoint(demo.issuer, platform.url + CALLBACK_PATH);
    await platform.putConnection(NAME, connectionBy(endpoint, demo.issuer, demo.upstreamUrl));
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  });
  afterAll(async () => {
    await browser?.close();
    await platform?.remove();
    await endpoint?.close();
    await demo?.stop();
  });

  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const shown = (text: string | RegExp) => page.getByText(text).first().waitFor();

  it('signs in by the link, connects at the provider, refreshes, and sees every state of the card', async () => {
    await page.goto(platform.said.signInLink);
    await page.getByRole('link', { name: NAME }).waitFor();
    await shown('Never connected');
    await screenshot(page, 'e2e-list');

    await page.getByRole('link', { name: NAME }).click();
    await shown('Never connected');
    await shown('Nothing has happened yet.');
    await screenshot(page, 'e2e-card-never-connected');

    await button('Connect').click();
    await page.waitForURL(`${demo.issuer}/**`);
    await screenshot(page, 'e2e-provider-login');
    await page.locator('input[name="username"]').fill(demo.username);
    await page.locator('input[name="password"]').fill(demo.password);
    await page.locator('form button').first().click();
    await page.locator('button[name="decision"][value="allow"]').click();
    await page.waitForURL((url: URL) => url.origin === platform.url);
    await button('Refresh now').waitFor();
    await shown('Healthy');
    await shown('Connect started');
    await screenshot(page, 'e2e-card-connected');

    await button('Refresh now').click();
    await shown('Token refreshed');
    const rows = page.getByRole('listitem').filter({ hasText: 'Token refreshed' });
    await rows.first().waitFor();
    await screenshot(page, 'e2e-card-refreshed');
    expect((await platform.history(NAME, 'refresh_succeeded')).length).toBeGreaterThanOrEqual(1);

    await endpoint.revoke();
    await button('Refresh now').click();
    await shown('Revoked');
    await shown(/Rejected by 127\.0\.0\.1/);
    expect(await page.locator('main').innerText()).toContain('invalid_grant');
    await page.getByRole('listitem').filter({ hasText: 'Token deleted' }).first().waitFor();
    await screenshot(page, 'e2e-card-revoked');
    expect(await platform.status(NAME)).toMatchObject({
      state: 'revoked',
      last_revocation: { reason: 'invalid_grant', decided_by: 'idp' },
    });

    await page.getByRole('link', { name: 'Connections' }).first().click();
    await page.getByRole('link', { name: NAME }).waitFor();
    await shown('Revoked');
    await screenshot(page, 'e2e-list-revoked');
  });

  it('sends a browser without a session to the sign-in, and shows it nothing', async () => {
    const context = await browser.newContext();
    const stranger = await context.newPage();
    await stranger.goto(`${platform.url}/connections`);
    await stranger.getByText('Sign-in needed').first().waitFor();
    await screenshot(stranger, 'e2e-stranger');
    expect(await stranger.content()).not.toContain(NAME);
    await context.close();
  });
});
