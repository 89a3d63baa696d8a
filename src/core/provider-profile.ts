import { z } from 'zod';
import { parseDuration } from './duration.ts';
import { MAX_LIFETIME_NEEDS, type ProviderFacts, type ProviderProfile, UNKNOWN_PROVIDER } from './provider-facts.ts';
import { PROVIDER_IDS, PROVIDER_PROFILES } from './provider-profiles.ts';
import type { Instant } from './token-set.ts';

export type { ProviderProfile } from './provider-facts.ts';
export { PROVIDER_PROFILES } from './provider-profiles.ts';

function choice<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, `must be one of ${values.join(', ')}`);
}

const flag = z.boolean('must be true or false');
const text = z.string('must be a text').min(1, 'must not be empty');
const lifetime = z
  .string('must be a duration such as 60d, 24h or 30m, or null for none')
  .trim()
  .refine((value) => parseDuration(value) !== undefined, 'must be a duration such as 60d, 24h or 30m, or null for none')
  .nullable();
const parameters = z.record(z.string().min(1), z.string('must be a text'), 'must be a map of texts');

/** A field of a profile as an operator writes it: durations are texts, null unsays what the profile says. */
type Written<Value> = number extends Value ? z.ZodType<string | null> : z.ZodType<Value>;
type OverrideShape = { [Name in keyof ProviderFacts]-?: Written<ProviderFacts[Name]> };

const overrideShape = {
  rotation: choice(['none', 'rotating', 'one_time', 'unknown']),
  honours_previous: flag,
  grace_window: lifetime,
  dead_grant_codes: z.array(text, 'must be a list of error codes'),
  gives_refresh_token: flag,
  scope_for_refresh_token: text.nullable(),
  session_bound_without_scope: text.nullable(),
  authorize_params: parameters,
  accepts_resource: flag,
  scope_on_refresh: flag,
  token_endpoint_auth_method: choice([
    'client_secret_basic',
    'client_secret_basic_raw',
    'client_secret_post',
    'none',
  ]).nullable(),
  client_assertion_audience: choice(['issuer', 'token_endpoint']),
  token_accept: text.regex(/^[\x20-\x7E]+$/, 'must be a media type'),
  access_lifetime: lifetime,
  refresh_idle_lifetime: lifetime,
  refresh_absolute_lifetime: lifetime,
  discloses_refresh_expiry: flag,
  max_lifetime_need: choice(MAX_LIFETIME_NEEDS),
  testing_mode_lifetime: lifetime,
  testing_mode: flag,
  refresh_canary: flag,
} as const satisfies OverrideShape;

const LIFETIMES = [
  'grace_window',
  'access_lifetime',
  'refresh_idle_lifetime',
  'refresh_absolute_lifetime',
  'testing_mode_lifetime',
] as const;

/** `oauth2_profile` of a connection: any field of the profile, which it replaces as a whole. */
export const profileOverrideSchema = z.strictObject(overrideShape).partial();

/** `provider` of a connection: the id of a profile. */
export const providerIdSchema = z
  .string()
  .refine((id) => PROVIDER_IDS.includes(id), `must be one of ${PROVIDER_IDS.join(', ')}`);

/** The fields that an operator may replace, for the documentation. */
export const OVERRIDABLE_FIELDS = Object.keys(overrideShape) as (keyof ProviderFacts)[];

function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith('.') ? host.endsWith(pattern) : host === pattern;
}

/** The profile named on the connection, else the one whose host it is, else the cautious default. */
export function providerProfile(id: string | undefined, tokenEndpoint: string | null): ProviderProfile {
  const named = PROVIDER_PROFILES.find((candidate) => candidate.id === id);
  if (named) return named;
  if (tokenEndpoint === null) return UNKNOWN_PROVIDER;
  const { hostname, pathname } = new URL(tokenEndpoint);
  return (
    PROVIDER_PROFILES.find((candidate) => candidate.hosts.some((entry) => matchesHost(entry, hostname))) ??
    PROVIDER_PROFILES.find(({ token_path }) => token_path !== null && pathname.endsWith(token_path)) ??
    UNKNOWN_PROVIDER
  );
}

/** What a connection says of its provider. Any configuration fits, one that is no longer valid too. */
export type ProviderChoice = {
  provider?: unknown;
  oauth2_profile?: unknown;
  oauth2_refresh_max_lifetime?: unknown;
  oauth2_refresh_canary?: unknown;
};

/**
 * The profile that holds for one connection: that of its provider, with whatever its configuration replaces. Every
 * consumer reads this one. An override that does not pass validation is left out: a schema that grew stricter must not
 * change how a live token is treated more than it has to.
 */
export function connectionProfile(config: ProviderChoice | null, tokenEndpoint: string | null): ProviderProfile {
  const id = typeof config?.provider === 'string' ? config.provider : undefined;
  const profile = { ...providerProfile(id, tokenEndpoint) };
  const written = profileOverrideSchema.safeParse(config?.oauth2_profile ?? {});
  if (written.success) {
    Object.assign(profile, written.data);
    for (const name of LIFETIMES) {
      const value = written.data[name];
      if (value !== undefined) profile[name] = value === null ? null : (parseDuration(value) ?? null);
    }
  }
  if (typeof config?.oauth2_refresh_canary === 'boolean') profile.refresh_canary = config.oauth2_refresh_canary;
  return profile;
}

/** `oauth2_refresh_max_lifetime` in milliseconds; null: not configured. */
export function configuredMaxLifetime(config: ProviderChoice | null): number | null {
  const value = config?.oauth2_refresh_max_lifetime;
  return typeof value === 'string' ? (parseDuration(value.trim()) ?? null) : null;
}

/**
 * How long a refresh token lives unused, as far as anybody knows: what the operator configured, else, where the
 * provider disclosed nothing, what its profile documents.
 */
export function refreshMaxLifetime(
  config: ProviderChoice | null,
  profile: Pick<ProviderProfile, 'refresh_idle_lifetime'>,
  disclosed: Instant | null,
): number | null {
  return configuredMaxLifetime(config) ?? (disclosed === null ? profile.refresh_idle_lifetime : null);
}
