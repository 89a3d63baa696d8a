import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform, until } from '../support/platform.ts';
import { callEcho } from './tools.ts';

const NAME = 'robot';
const params = { kind: 'mcp', name: NAME };

describe('client credentials, at a real identity provider', () => {
  let demo: DemoParts;
  let platform: TestPlatform;

  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 8 });
    platform = await TestPlatform.start();
  });
  afterAll(async () => {
    await platform?.remove();
    await demo?.stop();
  });

  it('get their token when saved, are renewed without traffic, end at a Disconnect and come back by a click', async () => {
    const answer = await fetch(`${demo.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }),
    });
    const { client_id, client_secret } = (await answer.json()) as { client_id: string; client_secret: string };
    await platform.explain(NAME, async () => {
      await platform.putConnection(NAME, {
        endpoint: demo.upstreamUrl,
        auth_mode: 'oauth',
        oauth2_grant: 'client_credentials',
        oauth2_client_id: client_id,
        oauth2_client_secret: client_secret,
      });
      expect(await platform.status(NAME)).toMatchObject({ grant: 'client_credentials', state: 'connected' });
      await until(async () => {
        const renewed = await platform.history(NAME, 'refresh_succeeded');
        expect(renewed.length).toBeGreaterThanOrEqual(3);
        expect(renewed.every(({ actor }) => actor === 'system:background-refresh')).toBe(true);
      });
      await until(async () => expect(await callEcho(platform.mcpUrl, NAME, 'by itself')).toContain('by itself'));
      await platform.api.disconnectOAuth({ params });
      expect(await platform.status(NAME)).toMatchObject({ state: 'revoked', needs_reauth: true });
      const { outcome, status } = await platform.api.reacquireOAuth({ params });
      expect([outcome, status.state]).toEqual(['refreshed', 'connected']);
      expect(await callEcho(platform.mcpUrl, NAME, 'again')).toContain('again');
    });
  });
});
