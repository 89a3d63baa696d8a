import { expect, it, vi } from 'vitest';
import type { TokenReply } from '../../src/core/token-response.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, HOUR, never } from './world.ts';

const NOT_PROCESSED: [string, TokenReply][] = [
  ['was not sent', { type: 'not_sent', error_class: 'connect' }],
  ['was turned away unread', answer({ error: 'slow_down' }, { status: 429 })],
  ['was refused for its client', answer({ error: 'invalid_client' }, { status: 401 })],
];

describeFlow('an attempt that took over an older one (protocol.md §4.2)', (world) => {
  /** replica-a holds the successor on its disk, crashed, and stays away until others may give it up (rule 15 d). */
  async function ownerGone() {
    await world().connected();
    const a = await world().boot({ credentials: { settle: never } });
    void a.refresh();
    await vi.waitFor(() => expect(world().escrow.entries.size).toBe(1));
    a.kill();
    await world().pass(2 * HOUR);
    return (await world().credential()).intent;
  }

  it.each(NOT_PROCESSED)('that %s gives it back: its owner is waited for when it returns', async (_how, reply) => {
    const { server } = world();
    const older = await ownerGone();
    const b = await world().boot({ replica_id: 'replica-b' });
    server.onRefresh(() => reply);
    await b.refresh();
    expect(server.presented).toHaveLength(2);
    const intent = (await world().credential()).intent;
    expect(intent).toMatchObject({ attempt_id: older?.attempt_id, replica_id: 'replica-a', given_back: true });
    expect(intent?.age_ms).toBeGreaterThanOrEqual(2 * HOUR);
    const back = await world().boot();
    await world().stores.replicas.seen('replica-a');
    await world().pass(60_000);
    expect(await b.refresh()).toMatchObject({ type: 'waiting', why: expect.stringContaining('another replica') });
    expect(server.presented).toHaveLength(2);
    await back.keeper.recover();
    expect(await world().accessToken()).toBe('access-f0t1');
    expect(await world().credential()).toMatchObject({ state: 'connected', ambiguous: false, intent: null });
    expect(await b.refresh()).toEqual({ type: 'refreshed' });
  });

  it('gives back one whose owner returns with an answer that decides nothing: then nothing is open any more', async () => {
    const { server } = world();
    server.onRefresh(() => answer({ error: 'invalid_client' }, { status: 401 }));
    await ownerGone();
    const b = await world().boot({ replica_id: 'replica-b' });
    server.onRefresh(() => ({ type: 'not_sent', error_class: 'connect' }));
    await b.refresh();
    const back = await world().boot();
    await back.keeper.recover();
    expect(await world().credential()).toMatchObject({ intent: null, failure: { idp_error_code: 'invalid_client' } });
    expect(await b.refresh()).toEqual({ type: 'refreshed' });
  });

  it('and whose claim grew old gives it back, too (rule 7)', async () => {
    const { server, stores, clock } = world();
    const older = await ownerGone();
    const b = await world().boot({
      replica_id: 'replica-b',
      credentials: {
        async claimIntent(claim) {
          const claimed = await stores.credentials.claimIntent(claim);
          await clock.advance(5_001);
          return claimed;
        },
      },
    });
    expect(await b.refresh()).toMatchObject({ type: 'waiting' });
    expect(server.presented).toHaveLength(1);
    expect((await world().credential()).intent?.attempt_id).toBe(older?.attempt_id);
  });

  it('is repeated by whoever gave the owner up, which tells of the older one once and calls a refusal a lost rotation', async () => {
    const { server } = world();
    await ownerGone();
    const b = await world().boot({ replica_id: 'replica-b' });
    const unsent = () => ({ type: 'not_sent', error_class: 'connect' }) as const;
    server.onRefresh(unsent, unsent, unsent);
    for (const count of [2, 3, 4]) expect(await b.refresh()).toMatchObject({ type: 'failed', failure: { count } });
    expect(await b.refresh()).toMatchObject({ type: 'revoked', revocation: { reason: 'rotation_outcome_lost' } });
    const told = (await world().events()).filter(({ detail }) => detail.ambiguous);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ detail: { step: 'interrupted' } });
    expect((await world().credential()).intent).toBeNull();
  });
});
