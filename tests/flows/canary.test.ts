import { expect, it, vi } from 'vitest';
import * as fixture from '../suites/store-fixture.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, KEY, type Process } from './world.ts';

const ADA = 'ada@example.com';
const idle = (process: Process) => vi.waitFor(() => expect(process.door.inFlight).toBe(0));

describeFlow('the first refresh after a consent', (world) => {
  async function connected(config: Record<string, unknown> = {}): Promise<Process> {
    await fixture.create(world().stores, KEY, {
      oauth2_client_id: 'client',
      oauth2_client_secret: 'client-secret',
      ...config,
    });
    const process = await world().boot();
    const { state } = await process.authorize.start(KEY, { actor: ADA });
    await process.authorize.bind(state, 'browser');
    const back = await process.authorize.callback(new URLSearchParams({ state, code: 'the-code' }), 'browser');
    expect(back).toMatchObject({ ok: true });
    return process;
  }
  const shown = async (process: Process) => (await process.connections.get(KEY)).oauth;

  async function passed(process: Process): Promise<void> {
    await world().clock.advance(3_000);
    expect(await process.keepalive.runOnce()).toEqual({ started: 1 });
    await idle(process);
  }

  it('goes through the one door, and proves that the grant can be renewed', async () => {
    const process = await connected();
    expect(await shown(process)).toMatchObject({ renewal: 'testing', next_refresh_reason: 'canary', findings: [] });
    await passed(process);
    expect(await shown(process)).toMatchObject({
      renewal: 'proven',
      health: 'ok',
      next_refresh_reason: 'access_token_expiring',
    });
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'refresh_succeeded',
      actor: 'system:refresh-canary',
      detail: { reason: 'canary' },
    });
    expect(world().server.presented).toHaveLength(1);
  });

  it('finds a grant that cannot be renewed while the person is still there', async () => {
    const process = await connected();
    world().server.onRefresh(async () => answer({ error: 'invalid_grant' }, { status: 400 }));
    await passed(process);
    expect(await shown(process)).toMatchObject({
      state: 'revoked',
      needs_person: true,
      summary: expect.stringContaining('rejected the very first refresh after the consent'),
    });
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'token_deleted_revoked',
      actor: 'system:refresh-canary',
    });
  });

  it('is tried again by the loop after a failure that passes', async () => {
    const process = await connected();
    world().server.onRefresh(async () => answer({ error: 'temporarily_unavailable' }, { status: 503 }));
    await passed(process);
    expect(await shown(process)).toMatchObject({
      health: 'refresh_failing',
      renewal: 'unproven',
      next_refresh_reason: 'retry',
    });
  });

  it.each([[{ oauth2_refresh_canary: false }], [{ oauth2_profile: { refresh_canary: false } }]])(
    'is not made where the operator says no: %j',
    async (config) => {
      const process = await connected(config);
      expect(await world().credential()).toMatchObject({
        next_refresh_reason: 'access_token_expiring',
      });
      expect(await shown(process)).toMatchObject({ renewal: 'unproven' });
    },
  );

  it('grades the grant in the history', async () => {
    await connected({ provider: 'keycloak', oauth2_scope: 'read' });
    expect((await world().events()).at(-1)).toMatchObject({
      event_type: 'connect_completed',
      detail: { grade: ['session_bound'] },
    });
  });
});
