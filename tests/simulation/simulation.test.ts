import { describe, expect, it } from 'vitest';
import type { AuthEvent } from '../../src/core/auth-event.ts';
import { main, readOptions } from './command.ts';
import { fold, NOTHING_TOLD } from './fold.ts';
import { FAULTS, TASTES } from './plan.ts';
import { play } from './schedule.ts';

describe('a schedule', () => {
  it('is the same whenever its seed is played, alone or among others', async () => {
    const [alone, ...others] = [
      await play({ seed: 5 }, true),
      ...(await Promise.all([play({ seed: 5 }, true), play({ seed: 6 }, true)])),
    ];
    expect(alone.trace.length).toBeGreaterThan(100);
    expect(others[0]).toEqual(alone);
    expect(others[1]?.trace).not.toEqual(alone.trace);
  });
});

describe('the history', () => {
  const event = (event_type: AuthEvent['event_type'], detail: AuthEvent['detail'] = {}): AuthEvent => ({
    id: 'id',
    sequence: '1',
    occurred_at: '2026-11-23T12:00:00.000Z',
    connection_kind: 'mcp',
    connection_name: 'acme',
    event_type,
    actor: 'ada@example.com',
    idp_host: null,
    detail,
  });

  it('tells the state of a connection from its events alone', () => {
    const told = [
      event('connect_started'),
      event('connect_completed', { refresh_token_fingerprint: 'one', generation: '7' }),
      event('refresh_failed_transient', { ambiguous: true }),
    ].reduce(fold, NOTHING_TOLD);
    expect(told).toMatchObject({
      state: 'connected',
      fingerprint: 'one',
      generation: '7',
      failures: 1,
      ambiguous: true,
    });
    const revoked = fold(told, event('token_deleted_revoked', { reason: 'rotation_outcome_lost', decided_by: 'idp' }));
    expect(revoked).toMatchObject({
      state: 'revoked',
      fingerprint: null,
      failures: 0,
      reason: 'rotation_outcome_lost',
    });
    const recovered = fold(revoked, event('rotation_recovered', { refresh_token_fingerprint: 'two', generation: '9' }));
    expect(recovered).toMatchObject({ state: 'connected', fingerprint: 'two', reason: null, ambiguous: false });
    expect(fold(recovered, event('token_deleted_admin', { reason: 'connection_deleted' }))).toEqual(NOTHING_TOLD);
  });
});

describe('npm run simulate', () => {
  it('plays what it is asked for, and says how fast', async () => {
    const lines: string[] = [];
    expect(
      await main(['--seeds', '3', '--taste', 'strict', '--faults', 'crash,outage'], (line) => lines.push(line)),
    ).toBe(0);
    expect(lines.join('\n')).toMatch(/strict {8}3 [\s\S]*3 schedules in .* a second\nviolations: 0$/);
  });

  it('prints every step of one seed', async () => {
    const lines: string[] = [];
    expect(await main(['--seed', '5'], (line) => lines.push(line))).toBe(0);
    expect(lines.join('\n')).toMatch(/seed 5: no violation[\s\S]*PRESENTS r-g0t0[\s\S]*npm run simulate -- --seed 5$/);
  });

  it('knows its tastes and faults, and no others', () => {
    expect(readOptions(['--taste', 'lying', '--faults', 'gone,skew']).wanted).toEqual({
      taste: 'lying',
      faults: ['gone', 'skew'],
    });
    expect(() => readOptions(['--taste', 'sweet'])).toThrow(TASTES.join(', '));
    expect(() => readOptions(['--faults', 'crash,rain'])).toThrow(FAULTS.join(', '));
    expect(() => readOptions(['--seeds', 'many'])).toThrow('--seeds must be a number');
  });
});
