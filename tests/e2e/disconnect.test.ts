import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform, until } from '../support/platform.ts';
import { callEcho } from './tools.ts';

const NAME = 'everything';
const params = { kind: 'mcp', name: NAME };

describe('Disconnect, at a real identity provider', () => {
  let demo: DemoParts;
  let platform: TestPlatform;

  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 60, refreshIdleTtl: 120 });
    platform = await TestPlatform.start();
    await platform.putConnection(NAME, { endpoint: demo.upstreamUrl, auth_mode: 'oauth' });
    await platform.connect(NAME, demo);
  });
  afterAll(async () => {
    await platform?.remove();
    await demo?.stop();
  });

  it('deletes the token here, revokes it there, says both in the history, and a new consent brings it back', async () => {
    // Its tools are listed in the background once it is connected.
    await until(async () => expect(await callEcho(platform.mcpUrl, NAME, 'before')).toContain('before'));
    const result = await platform.explain(NAME, () => platform.api.disconnectOAuth({ params }));
    expect(result).toMatchObject({ upstream: 'revoked', status: { state: 'revoked', token_acquired: false } });
    expect(result.status.last_revocation).toMatchObject({ reason: 'disconnected', decided_by: 'person' });
    const history = await platform.history(NAME);
    const since = history.slice(history.findIndex(({ event_type }) => event_type === 'token_deleted_admin'));
    expect(since).toMatchObject([
      { event_type: 'token_deleted_admin', detail: { reason: 'disconnected', upstream_revocation: 'requested' } },
      { event_type: 'token_revoked_upstream', detail: { token_type_hint: 'refresh_token' } },
      // The access token is a JWT, which its server cannot call back.
      { event_type: 'token_revocation_failed', detail: { token_type_hint: 'access_token', reason: 'unsupported' } },
    ]);
    expect(await callEcho(platform.mcpUrl, NAME, 'without')).toMatch(/^error: .*Reconnect/s);
    expect(await platform.api.disconnectOAuth({ params })).toMatchObject({ upstream: 'nothing' });
    await platform.connect(NAME, demo);
    expect(await callEcho(platform.mcpUrl, NAME, 'again')).toContain('again');
    expect(await platform.status(NAME)).toMatchObject({ state: 'connected', health: 'ok' });
  });
});
