import { describe, expect, it } from 'vitest';
import { oauthStatus } from '../../src/core/connection-status.ts';
import type { Credential, RefreshFailure } from '../../src/core/credential.ts';
import { openIncidents } from '../../src/core/open-incidents.ts';
import { binding, credentialFacts, HOUR, NOW } from './facts.ts';

const incident = { opened_at: NOW - HOUR, probe_at: NOW };
const failure: RefreshFailure = {
  type: 'transient',
  since: NOW,
  last_at: NOW,
  count: 1,
  idp_error_code: 'invalid_grant',
  error_class: 'structured',
};
const statusOf = (more: Partial<Credential>) => oauthStatus(credentialFacts(more), null, [], NOW);

describe('the list of open incidents', () => {
  it('names each host once, with since when, how many and when it is asked next', () => {
    const other = { ...binding, token_endpoint: 'https://a.example/token' };
    const found = openIncidents([
      statusOf({ incident, failure: { ...failure, held_since: NOW } }),
      statusOf({ incident, failure }),
      statusOf({ incident }),
      statusOf({ binding: other, incident, failure }),
      statusOf({ state: 'never_connected', token: null, binding: null }),
    ]);
    expect(found.map(({ idp_host }) => idp_host)).toEqual(['a.example', 'idp.example']);
    expect(found[1]).toMatchObject({
      opened_at: '2026-11-22T23:00:00.000Z',
      next_probe_at: '2026-11-23T00:00:00.000Z',
      connections: 3,
      failing: 2,
      held: 1,
    });
    expect(found[1]?.sentence).toContain('2 of 3 connections at idp.example fail since 2026-11-22T23:00:00.000Z');
    expect(found[1]?.sentence).toContain('1 refused token is kept, one connection asks at a time');
    expect(found[0]?.sentence).toContain('1 of 1 connection at a.example');
    expect(found[0]?.sentence).toContain('No token is given up');
  });

  it('is empty where nothing is open, also when connections fail', () => {
    expect(openIncidents([statusOf({ failure }), statusOf({})])).toEqual([]);
  });
});
