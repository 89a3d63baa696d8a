import type { Credential } from './credential.ts';
import { idpHostOf, isClientCredentials } from './credential.ts';
import { gradeGrant, testingModeEnd } from './grant-grade.ts';
import type { ProviderProfile } from './provider-facts.ts';
import type { Instant, TokenFacts } from './token-set.ts';

export const FORECAST_REASONS = [
  'refreshed_automatically',
  'wall_clock',
  'absolute_lifetime',
  'testing_mode',
  'session_bound',
  'no_refresh_token',
  'never_expires',
  'client_credentials',
  'client_misconfigured',
  'unknown',
  'not_connected',
] as const;
export type ForecastReason = (typeof FORECAST_REASONS)[number];

/** Until when a connection lives without a person. `lives_until` null: no end is known. */
export type Lifespan = { lives_until: Instant | null; reason: ForecastReason; sentence: string };

export type ForecastInput = {
  credential: Pick<Credential, 'state' | 'token' | 'failure' | 'binding'>;
  profile: ProviderProfile;
  /** How long the refresh token lives unused, configured or documented. */
  refresh_max_lifetime: number | null;
};

const iso = (instant: Instant) => new Date(instant).toISOString();

function withoutRefreshToken(token: TokenFacts, profile: ProviderProfile): Lifespan {
  const assumed = !profile.gives_refresh_token && profile.access_lifetime !== null;
  const end = token.expires_at ?? (assumed ? token.received_at + (profile.access_lifetime ?? 0) : null);
  if (end === null) {
    return {
      lives_until: null,
      reason: 'never_expires',
      sentence: 'The token names no end and needs no refresh; it lives until somebody revokes it.',
    };
  }
  const never = profile.gives_refresh_token ? '' : `${profile.title} gives no refresh tokens. `;
  return {
    lives_until: end,
    reason: 'no_refresh_token',
    sentence: `${never}Without a refresh token this connection ends with its access token at ${iso(end)}.`,
  };
}

/** The ends that no refresh moves, each with its words. */
function wallClocks(token: TokenFacts, profile: ProviderProfile, host: string): Lifespan[] {
  const found: Lifespan[] = [];
  const { authenticated_at: consent, refresh_expires_at, refresh_deadline_fixed } = token;
  const { refresh_absolute_lifetime: absolute } = profile;
  if (consent !== null && gradeGrant(token, profile).includes('testing_mode')) {
    const end = testingModeEnd(consent, profile);
    const sentence = `The consent screen at ${host} is in testing, so its grants end after some days: this one at ${iso(end)}. Publish the consent screen, then reconnect.`;
    found.push({ lives_until: end, reason: 'testing_mode', sentence });
  }
  if (refresh_expires_at !== null && refresh_deadline_fixed) {
    const sentence = `${host} ends this grant at ${iso(refresh_expires_at)}: refreshing has not moved that time.`;
    found.push({ lives_until: refresh_expires_at, reason: 'wall_clock', sentence });
  }
  if (consent !== null && absolute !== null) {
    const end = consent + absolute;
    const sentence = `Grants of ${host} end a fixed time after the consent, however often they are refreshed: this one at ${iso(end)}.`;
    found.push({ lives_until: end, reason: 'absolute_lifetime', sentence });
  }
  return found;
}

function renewed({ profile, refresh_max_lifetime }: ForecastInput, token: TokenFacts, host: string): Lifespan {
  if (gradeGrant(token, profile).includes('session_bound')) {
    const scope = profile.session_bound_without_scope ?? '';
    const sentence = `Refreshed automatically, but the grant ends with the sign-in session at ${host}, at a time that it does not tell. Add ${scope} to the scope and reconnect.`;
    return { lives_until: null, reason: 'session_bound', sentence };
  }
  const known = token.refresh_expires_at !== null || refresh_max_lifetime !== null || token.expires_at !== null;
  if (!known) {
    const sentence = `Nothing tells how long tokens of ${host} live, so none is refreshed ahead. Set oauth2_refresh_max_lifetime if its refresh tokens have a limit.`;
    return { lives_until: null, reason: 'unknown', sentence };
  }
  return {
    lives_until: null,
    reason: 'refreshed_automatically',
    sentence:
      'Refreshed before its tokens end, for as long as the identity provider honours the grant; no end is known.',
  };
}

/**
 * Until when this connection lives without a person, and why, from its row, its profile and its configuration alone.
 * A belief, by which nothing is ever deleted.
 */
export function forecast(input: ForecastInput): Lifespan {
  const { credential, profile } = input;
  const { token, failure } = credential;
  if (credential.state !== 'connected' || !token) {
    return { lives_until: null, reason: 'not_connected', sentence: 'Not connected.' };
  }
  const host = idpHostOf(credential.binding) ?? 'the identity provider';
  const renewsItself = isClientCredentials(credential.binding);
  if (!token.has_refresh_token && !renewsItself) return withoutRefreshToken(token, profile);
  if (failure?.type === 'misconfigured') {
    const end = token.expires_at;
    const when = end === null ? 'its access token ends' : `its access token ends at ${iso(end)}`;
    const sentence = `It works until ${when}; ${host} renews it only after the client has been corrected.`;
    return { lives_until: end, reason: 'client_misconfigured', sentence };
  }
  if (failure?.held_since !== undefined) {
    const end = token.expires_at;
    const when = end === null ? '' : ` It works until its access token ends at ${iso(end)}.`;
    const sentence = `${host} refuses the refresh token at the moment, and it is asked again: whether the grant lives will be known then.${when}`;
    return { lives_until: end, reason: 'unknown', sentence };
  }
  if (renewsItself) {
    const sentence = `Tokens are obtained with the client's own secret for as long as ${host} accepts it; nobody signs in.`;
    return { lives_until: null, reason: 'client_credentials', sentence };
  }
  const [first, ...others] = wallClocks(token, profile, host);
  if (!first) return renewed(input, token, host);
  return others.reduce(
    (soonest, next) => ((next.lives_until ?? 0) < (soonest.lives_until ?? 0) ? next : soonest),
    first,
  );
}
