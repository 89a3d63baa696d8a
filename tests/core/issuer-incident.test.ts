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
const QUIET: IssuerFacts = { incident: null, connections: 5, failing: 0, last_success_at: null };
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
const weigh = (facts: Partial<IssuerFacts>, failure: RefreshFailure | null = null) =>
  weighVerdict({ ...QUIET, ...facts }, failure, NOW, SETTINGS);

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
    // What succeeded before says nothing: the server may have changed its mind since.
    expect(weigh({ last_success_at: NOW - 1 })).toMatchObject({ held_since: NOW });
  });

  it('is believed when it is repeated after another connection has succeeded', () => {
    const first = NOW - 6 * SECOND;
    expect(weigh({ last_success_at: NOW - SECOND }, held(first))).toBeNull();
    expect(weigh({ last_success_at: first - 1 }, held(first))).toMatchObject({ held_since: first });
  });

  it('is believed after a minute in which nothing has shown that the server is at fault', () => {
    expect(weigh({}, held(NOW - MINUTE + 1))).toMatchObject({ why: 'confirmation' });
    expect(weigh({}, held(NOW - MINUTE))).toBeNull();
  });

  it('is held during an incident, however few connections are left, for half an hour at most', () => {
    const hold = { held_since: NOW, retry_at: NOW + MINUTE, why: 'incident' };
    expect(weigh({ incident: OPEN, connections: 1 })).toEqual(hold);
    const first = NOW - 30 * MINUTE + 1;
    expect(weigh({ incident: OPEN, last_success_at: NOW }, held(first))).toEqual({ ...hold, held_since: first });
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
