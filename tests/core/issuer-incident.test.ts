import { describe, expect, it } from 'vitest';
import type { RefreshFailure } from '../../src/core/credential.ts';
import {
  type IssuerFacts,
  opensIncident,
  spreadOver,
  spreadTo,
  tellsOfIssuer,
  weighVerdict,
} from '../../src/core/issuer-incident.ts';
import { DEFAULT_PROTOCOL_SETTINGS as SETTINGS } from '../../src/core/settings.ts';
import { NOW } from './facts.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const QUIET: IssuerFacts = { incident: null, connections: 5, failing: 0, success_since_held: null };
const OPEN = { opened_at: NOW - MINUTE, probe_at: NOW };

const held = (held_since: number): RefreshFailure => ({
  type: 'transient',
  since: held_since,
  last_at: held_since,
  count: 1,
  idp_error_code: 'invalid_grant',
  error_class: 'structured',
  held_since,
});
const weigh = (facts: Partial<IssuerFacts>, failure: RefreshFailure | null = null, presented = NOW) =>
  weighVerdict({ ...QUIET, ...facts }, failure, { now: NOW, presented }, SETTINGS);

describe('an incident at an authorization server', () => {
  it('begins with the third connection that fails, and only once', () => {
    expect([0, 1, 2, 9].map((failing) => opensIncident({ incident: null, failing }))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(opensIncident({ incident: OPEN, failing: 9 })).toBe(false);
  });

  it('is told by whatever may be the fault of the server, and not by what we refused ourselves', () => {
    const rest = { idp_error_code: null, http_status: null, retry_after: null };
    const transient = (error_class: 'timeout' | 'egress_refused' | 'ambiguous') =>
      tellsOfIssuer({ type: 'transient', ambiguous: false, error_class, ...rest });
    expect(transient('timeout')).toBe(true);
    expect(transient('egress_refused')).toBe(false);
    expect(transient('ambiguous')).toBe(false);
    const answer = { idp_error_code: 'invalid_client', http_status: 401 };
    expect(tellsOfIssuer({ type: 'misconfigured', ...answer, retry_after: null })).toBe(true);
    expect(tellsOfIssuer({ type: 'revoked', reason: 'invalid_grant', ...answer })).toBe(true);
  });
});

describe('a refusal', () => {
  it('is believed at once where fewer than three connections could be compared', () => {
    expect(weigh({ connections: 1 })).toBeNull();
    expect(weigh({ connections: 2, failing: 1 })).toBeNull();
  });

  it('is held while another connection of the same server is asked', () => {
    expect(weigh({})).toEqual({ held_since: NOW, retry_at: NOW + 5 * SECOND, why: 'confirmation' });
  });

  it('is believed when it is repeated after another connection has succeeded', () => {
    const first = NOW - 6 * SECOND;
    expect(weigh({ success_since_held: NOW - SECOND }, held(first))).toBeNull();
    expect(weigh({}, held(first))).toMatchObject({ held_since: first });
  });

  it('is not repeated by its own replay, nor by what was sent before another succeeded', () => {
    const first = NOW - 6 * SECOND;
    const hold = { held_since: first, why: 'confirmation' };
    expect(weigh({ success_since_held: NOW - SECOND }, held(first), first - 1)).toMatchObject(hold);
    expect(weigh({ success_since_held: NOW - SECOND }, held(first), NOW - 2 * SECOND)).toMatchObject(hold);
    expect(weigh({ connections: 1 }, held(first), first)).toMatchObject(hold);
    const long = NOW - 40 * MINUTE;
    expect(weigh({}, held(long), long - 1)).toMatchObject({ held_since: long });
    expect(weigh({ incident: OPEN }, held(long), long - 1)).toMatchObject({ held_since: long });
    // Sent during the outage, and on its way until after it.
    expect(weigh({ success_since_held: NOW }, held(long), NOW - 1)).toMatchObject({ held_since: long });
  });

  it('is repeated each minute while no other could be asked, and believed after half an hour of that', () => {
    const hold = { retry_at: NOW + MINUTE, why: 'confirmation' };
    expect(weigh({}, held(NOW - 6 * SECOND))).toMatchObject(hold);
    expect(weigh({ failing: 1 }, held(NOW - 30 * MINUTE + 1))).toMatchObject(hold);
    expect(weigh({ failing: 1 }, held(NOW - 30 * MINUTE))).toBeNull();
  });

  it('is held during an incident, however few connections are left, for half an hour at most', () => {
    const hold = { held_since: NOW, retry_at: NOW + MINUTE, why: 'incident' };
    expect(weigh({ incident: OPEN, connections: 1 })).toEqual(hold);
    const first = NOW - 30 * MINUTE + 1;
    expect(weigh({ incident: OPEN, success_since_held: first }, held(first))).toEqual({ ...hold, held_since: first });
    expect(weigh({ incident: OPEN }, held(NOW - 30 * MINUTE))).toBeNull();
  });

  it('is weighed anew when what failed before was no refusal', () => {
    const { held_since: _none, ...transient } = held(NOW - 60 * MINUTE);
    expect(weigh({}, transient)).toMatchObject({ held_since: NOW });
  });
});

describe('what waited for a server', () => {
  const input = { now: NOW, over: spreadOver(100) };

  it('is spread over a minute for each hundred, each connection at a place of its own', () => {
    expect(input.over).toBe(MINUTE);
    expect(spreadTo(0n, null, input)).toBe(NOW);
    expect(spreadTo(500n, null, input)).toBe(NOW + 30 * SECOND);
    expect(spreadTo(-500n, null, input)).toBe(NOW + 30 * SECOND);
    expect(spreadTo(12_345_999n, null, input)).toBe(NOW + 59_940);
  });

  it('is not put off past the end of an access token that still works', () => {
    expect(spreadTo(500n, NOW + 25 * SECOND, input)).toBe(NOW + 15 * SECOND);
    expect(spreadTo(500n, NOW + 5 * SECOND, input)).toBe(NOW);
    expect(spreadTo(500n, NOW + 60 * MINUTE, input)).toBe(NOW + 30 * SECOND);
    expect(spreadTo(500n, NOW - 1, input)).toBe(NOW + 30 * SECOND);
  });
});
