import type { ProviderProfile } from './provider-facts.ts';
import type { Instant, TokenFacts } from './token-set.ts';

/** What can be told of a grant at the moment it is given, worst first. */
export const GRANT_GRADES = ['no_refresh_token', 'session_bound', 'testing_mode', 'short_refresh_token'] as const;
export type GrantGrade = (typeof GRANT_GRADES)[number];

export type GrantFacts = Pick<
  TokenFacts,
  'expires_at' | 'refresh_expires_at' | 'has_refresh_token' | 'scope' | 'authenticated_at'
>;

/** How far a disclosed lifetime may be from that of a testing mode and still be it. */
const TESTING_MODE_BLUR_MS = 3_600_000;

/** Said by the operator, or told by the lifetime that the provider disclosed. */
function inTestingMode(
  { refresh_expires_at, authenticated_at }: GrantFacts,
  profile: Pick<ProviderProfile, 'testing_mode' | 'testing_mode_lifetime'>,
): boolean {
  const { testing_mode, testing_mode_lifetime } = profile;
  if (testing_mode) return true;
  if (testing_mode_lifetime === null || refresh_expires_at === null || authenticated_at === null) return false;
  return Math.abs(refresh_expires_at - authenticated_at - testing_mode_lifetime) <= TESTING_MODE_BLUR_MS;
}

/** Refresh tokens that end with somebody's browser session, because the scope that frees them was not granted. */
function isSessionBound(
  { scope }: GrantFacts,
  { session_bound_without_scope: needed }: Pick<ProviderProfile, 'session_bound_without_scope'>,
): boolean {
  return needed !== null && scope !== null && !scope.split(/\s+/).includes(needed);
}

/** When a grant of a consent screen in testing ends. */
export function testingModeEnd(consent: Instant, { testing_mode_lifetime }: ProviderProfile): Instant {
  return consent + (testing_mode_lifetime ?? 7 * 86_400_000);
}

/** Grades a grant: what will end it, though it works now. Empty: nothing is known against it. */
export function gradeGrant(token: GrantFacts, profile: ProviderProfile): GrantGrade[] {
  if (!token.has_refresh_token) return token.expires_at === null ? [] : ['no_refresh_token'];
  const { expires_at, refresh_expires_at } = token;
  const short = expires_at !== null && refresh_expires_at !== null && refresh_expires_at < expires_at;
  const found: Record<GrantGrade, boolean> = {
    no_refresh_token: false,
    session_bound: isSessionBound(token, profile),
    testing_mode: inTestingMode(token, profile),
    short_refresh_token: short,
  };
  return GRANT_GRADES.filter((grade) => found[grade]);
}
