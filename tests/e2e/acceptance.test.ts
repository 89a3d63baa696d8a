import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import type { AuthEvent } from '../../src/contract/schemas.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { type PlatformOptions, TestPlatform, until } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';
import { connectionBy, startTokenEndpoint } from './token-endpoint.ts';
import { callEcho } from './tools.ts';

const NAME = 'everything';
const BACKGROUND = 'system:background-refresh';

/** Refresh tokens that die after ten idle seconds. */
let hasty: DemoParts;
/** The same with time for a process to start again on a busy machine. */
let demo: DemoParts;
/** For attempts that are found open after a crash: the lease and a start come before the token is presented again. */
let patient: DemoParts;

beforeAll(async () => {
  hasty = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 10 });
  demo = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 35 });
  patient = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 120 });
});
afterAll(async () => {
  await hasty?.stop();
  await demo?.stop();
  await patient?.stop();
});

/** Longer than twice the idle time of a refresh token, on a busy machine. */
const OUTLIVING_MS = 150_000;

const time = (text: string | null | undefined) => Date.parse(text ?? '');
const byTheLoop = (event: AuthEvent) => event.event_type === 'refresh_succeeded' && event.actor === BACKGROUND;

/**
 * Waits until the history itself shows that the connection has lived for five lifetimes of its first access token and
 * twice as long as its first refresh token could have been left alone.
 */
async function outliveItsTokens(platform: TestPlatform): Promise<AuthEvent[]> {
  const [connected] = await platform.history(NAME, 'connect_completed');
  const start = time(connected?.occurred_at);
  const access = time(connected?.detail.expires_at) - start;
  const idle = time(connected?.detail.refresh_expires_at) - start;
  expect(access).toBeGreaterThan(0);
  expect(idle).toBeGreaterThan(0);
  const enough = start + Math.max(5 * access, 2 * idle);
  return platform.explain(NAME, () =>
    until(async () => {
      const history = await platform.history(NAME);
      const last = history.findLast(byTheLoop);
      expect(time(last?.occurred_at)).toBeGreaterThanOrEqual(enough);
      return history;
    }, OUTLIVING_MS),
  );
}

/** No gap in the history is longer than a refresh token lives unused, and nothing in it is a failure. */
function expectUnbroken(history: AuthEvent[]): void {
  const begun = ['connect_started', 'connect_completed'];
  const refreshes = history.filter(({ event_type }) => !begun.includes(event_type));
  for (const [index, event] of refreshes.entries()) {
    expect(event).toMatchObject({ event_type: 'refresh_succeeded', detail: { rotated_refresh: true } });
    const before = refreshes[index - 1];
    if (before) expect(time(event.occurred_at)).toBeLessThan(time(before.detail.after_refresh_expires_at));
  }
}

async function nextRefresh(platform: TestPlatform): Promise<AuthEvent> {
  const known = (await platform.history(NAME)).at(-1);
  return platform.explain(NAME, () =>
    until(async () => {
      const last = (await platform.history(NAME)).findLast(byTheLoop);
      if (!last || BigInt(last.sequence) <= BigInt(known?.sequence ?? 0)) throw new Error('no refresh since');
      return last;
    }),
  );
}

async function connected(parts: DemoParts, options: PlatformOptions): Promise<TestPlatform> {
  const platform = await TestPlatform.start(options);
  try {
    await platform.putConnection(NAME, { endpoint: parts.upstreamUrl, auth_mode: 'oauth' });
    await platform.connect(NAME, parts);
    return platform;
  } catch (error) {
    const said = platform.output();
    await platform.remove();
    throw new Error(`not connected; the server said: ${said}`, { cause: error });
  }
}

async function onPostgresql(): Promise<{ options: PlatformOptions; drop(): Promise<void> }> {
  const { url, drop } = await createDatabase(inject('postgresUrl'));
  const env = { DATABASE_URL: url, ENCRYPTION_KEY: randomBytes(32).toString('hex') };
  return { options: { env }, drop };
}

const ENGINES = [
  { engine: 'embedded', prepare: async () => ({ options: {}, drop: async () => {} }) },
  { engine: 'postgresql', prepare: onPostgresql },
];

describe.concurrent('a connection that nobody uses', { timeout: 240_000 }, () => {
  it.for(ENGINES)('outlives its tokens and works when it is called ($engine)', async ({ engine, prepare }) => {
    const { options, drop } = await prepare();
    const platform = await connected(hasty, options);
    try {
      expect(await platform.api.getSystem()).toMatchObject({ engine });
      const history = await outliveItsTokens(platform);
      expect(await callEcho(platform.mcpUrl, NAME, 'still there')).toContain('still there');
      expect(history.map(({ event_type }) => event_type).slice(0, 2)).toEqual(['connect_started', 'connect_completed']);
      expect(history.filter(byTheLoop).length).toBeGreaterThanOrEqual(5);
      expectUnbroken(history);
      expect(await platform.status(NAME)).toMatchObject({ state: 'connected', health: 'ok' });
      expect(platform.output()).toMatch(
        /"connoauth: refresher started interval=2s access_lead=5m0s refresh_lead=1h0m0s"/,
      );
      expect(await platform.stop()).toBe(0);
      expect(platform.output()).not.toMatch(/Warning/);
    } finally {
      await platform.remove();
      await drop();
    }
  });

  it.for(ENGINES)('stays connected over a restart and over kill -9 ($engine)', async ({ prepare }) => {
    const { options, drop } = await prepare();
    const platform = await connected(demo, options);
    try {
      await nextRefresh(platform);
      expect(await platform.stop()).toBe(0);
      await platform.restart();
      await nextRefresh(platform);
      // Between two refreshes; those on the wire have tests of their own below.
      await platform.kill9();
      await platform.restart();
      await nextRefresh(platform);
      // A process that lived for seconds may not have listed the tools yet.
      await until(async () => expect(await callEcho(platform.mcpUrl, NAME, 'back again')).toContain('back again'));
      expectUnbroken(await outliveItsTokens(platform));
      expect(await platform.status(NAME)).toMatchObject({ state: 'connected', health: 'ok', last_revocation: null });
    } finally {
      await platform.remove();
      await drop();
    }
  });

  it('presents the token again when the process was killed before the provider saw the refresh', async () => {
    const platform = await TestPlatform.start();
    const endpoint = await startTokenEndpoint(patient.issuer, platform.url + CALLBACK_PATH);
    try {
      await platform.putConnection(NAME, connectionBy(endpoint, patient.issuer, patient.upstreamUrl));
      await platform.connect(NAME, patient);
      await nextRefresh(platform);
      const held = endpoint.holdNextRefresh('request');
      await until(() => expect(held.arrived()).toBe(true));
      const seen = endpoint.refreshes();
      await platform.kill9();
      await until(() => expect(endpoint.open()).toBe(0));
      held.release();
      await platform.restart();
      await nextRefresh(platform);
      expect(endpoint.refreshes()).toBeGreaterThan(seen);
      expect(await platform.status(NAME)).toMatchObject({ state: 'connected', health: 'ok', last_revocation: null });
      expect(await callEcho(platform.mcpUrl, NAME, 'as before')).toContain('as before');
    } finally {
      await platform.remove();
      await endpoint.close();
    }
  });

  it('says that the answer was lost, and blames nobody, when kill -9 hit between rotation and reply', async () => {
    const platform = await TestPlatform.start();
    const endpoint = await startTokenEndpoint(patient.issuer, platform.url + CALLBACK_PATH);
    try {
      await platform.putConnection(NAME, connectionBy(endpoint, patient.issuer, patient.upstreamUrl));
      await platform.connect(NAME, patient);
      const held = endpoint.holdNextRefresh('reply');
      await until(() => expect(held.arrived()).toBe(true));
      await platform.kill9();
      held.release();
      await platform.restart();
      const status = await until(async () => {
        const now = await platform.status(NAME);
        expect(now.state).toBe('revoked');
        return now;
      });
      expect(status.last_revocation).toMatchObject({ reason: 'rotation_outcome_lost', decided_by: 'idp' });
      const last = (await platform.history(NAME)).map(({ event_type }) => event_type);
      expect(last.slice(-2)).toEqual(['refresh_failed_revoked', 'token_deleted_revoked']);
      await platform.connect(NAME, patient);
      expect(await platform.status(NAME)).toMatchObject({ state: 'connected', health: 'ok' });
      expect(await callEcho(platform.mcpUrl, NAME, 'reconnected')).toContain('reconnected');
    } finally {
      await platform.remove();
      await endpoint.close();
    }
  });
});
