import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform, until } from '../support/platform.ts';

describe('a client that a real identity provider refuses', () => {
  let demo: DemoParts;
  let platform: TestPlatform;

  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 60, refreshIdleTtl: 600 });
    platform = await TestPlatform.start();
  });
  afterAll(async () => {
    await platform?.remove();
    await demo?.stop();
  });

  const reacquire = async (name: string) =>
    (await platform.api.reacquireOAuth({ params: { kind: 'mcp', name } }).catch(() => undefined)) ?? null;

  async function registered(): Promise<{ client_id: string; client_secret: string }> {
    const answer = await fetch(`${demo.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        redirect_uris: [`${platform.url}${CALLBACK_PATH}`],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'client_secret_basic',
      }),
    });
    return (await answer.json()) as { client_id: string; client_secret: string };
  }

  it('is healed by its corrected secret at once, without a new consent and without a click', async () => {
    const name = 'corrected';
    const { client_id, client_secret } = await registered();
    const config = { endpoint: demo.upstreamUrl, auth_mode: 'oauth', oauth2_client_id: client_id };
    await platform.explain(name, async () => {
      await platform.putConnection(name, { ...config, oauth2_client_secret: client_secret });
      await platform.connect(name, demo);
      const test = () => platform.api.testConnection({ params: { kind: 'mcp', name } });
      expect(await test()).toMatchObject({ ok: true, message: expect.stringContaining('(client_secret_basic)') });
      await platform.putConnection(name, { ...config, oauth2_client_secret: 'mistyped' });
      expect(await test()).toMatchObject({
        ok: false,
        message: expect.stringContaining('refuses this client (tried: client_secret_basic, client_secret_basic_raw, '),
      });
      await reacquire(name);
      await until(async () => expect(await platform.status(name)).toMatchObject({ health: 'client_misconfigured' }));
      const before = await platform.history(name);
      expect(before.at(-1)).toMatchObject({
        event_type: 'refresh_failed_misconfigured',
        detail: { idp_error_code: 'invalid_client' },
      });
      await platform.putConnection(name, { ...config, oauth2_client_secret: client_secret });
      await until(async () => expect(await platform.status(name)).toMatchObject({ health: 'ok' }));
      const after = (await platform.history(name)).slice(before.length);
      expect(after).toMatchObject([{ event_type: 'refresh_succeeded', actor: 'system:background-refresh' }]);
    });
  });

  it('is registered anew by the next Connect, when the provider has forgotten it', async () => {
    const name = 'forgotten';
    await platform.explain(name, async () => {
      await platform.putConnection(name, { endpoint: demo.upstreamUrl, auth_mode: 'oauth' });
      await platform.connect(name, demo);
      await demo.identityProvider.kill();
      const rows = JSON.parse(readFileSync(demo.stateFile, 'utf8')) as Record<string, unknown>;
      const kept = Object.entries(rows).filter(([key]) => !key.startsWith('Client:'));
      expect(kept.length).toBeLessThan(Object.keys(rows).length);
      writeFileSync(demo.stateFile, JSON.stringify(Object.fromEntries(kept)));
      await demo.identityProvider.restart();
      await platform.connect(name, demo);
      expect(await platform.status(name)).toMatchObject({ state: 'connected', health: 'ok' });
      await reacquire(name);
      await until(async () => expect(await platform.status(name)).toMatchObject({ health: 'ok', renewal: 'proven' }));
    });
  });
});
