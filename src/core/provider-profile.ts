/**
 * What is known of one identity provider's tokens. Data only: every field can be overridden on the connection, and
 * `source` tells what the knowledge rests on.
 */
export type ProviderProfile = {
  id: string;
  title: string;
  /** `described`: from the described system; `reported`: publicly reported, not verified by us. */
  source: 'described' | 'reported' | 'default';
  /** Host names of its authorization servers; a leading dot matches any subdomain. */
  hosts: readonly string[];
  /**
   * none: the refresh token stays; rotating: a new one with each use; one_time: the old one is dead at once, and its
   * reuse may end the grant; unknown: assume the strictest.
   */
  rotation: 'none' | 'rotating' | 'one_time' | 'unknown';
  /** Whether the previous token (N-1) is still honoured for a while after a rotation (protocol rule 14). */
  honours_previous: boolean;
  /** Codes beside `invalid_grant` that prove the grant dead. */
  dead_grant_codes: readonly string[];
  scope_for_refresh_token: string | null;
  authorize_params: Readonly<Record<string, string>>;
  /** Whether RFC 8707 `resource` may be sent. */
  accepts_resource: boolean;
  /** Whether a refresh must name the scope again. */
  scope_on_refresh: boolean;
};

const UNKNOWN: ProviderProfile = {
  id: 'unknown',
  title: 'Unknown provider',
  source: 'default',
  hosts: [],
  rotation: 'unknown',
  honours_previous: false,
  dead_grant_codes: [],
  scope_for_refresh_token: null,
  authorize_params: {},
  accepts_resource: true,
  scope_on_refresh: false,
};

const profile = (
  fields: Partial<ProviderProfile> & Pick<ProviderProfile, 'id' | 'title' | 'source'>,
): ProviderProfile => ({
  ...UNKNOWN,
  ...fields,
});

export const PROVIDER_PROFILES: readonly ProviderProfile[] = [
  profile({ id: 'keycloak', title: 'Keycloak', source: 'described', scope_for_refresh_token: 'offline_access' }),
  profile({
    id: 'auth0',
    title: 'Auth0',
    source: 'described',
    hosts: ['.auth0.com'],
    scope_for_refresh_token: 'offline_access',
  }),
  profile({
    id: 'okta',
    title: 'Okta',
    source: 'described',
    hosts: ['.okta.com', '.oktapreview.com'],
    scope_for_refresh_token: 'offline_access',
  }),
  profile({
    id: 'google',
    title: 'Google',
    source: 'described',
    hosts: ['accounts.google.com', 'oauth2.googleapis.com'],
    rotation: 'none',
    authorize_params: { access_type: 'offline', prompt: 'consent' },
  }),
  profile({
    id: 'salesforce',
    title: 'Salesforce',
    source: 'described',
    hosts: ['login.salesforce.com', 'test.salesforce.com', '.my.salesforce.com'],
    scope_for_refresh_token: 'refresh_token',
  }),
  profile({
    id: 'entra',
    title: 'Microsoft Entra',
    source: 'described',
    hosts: ['login.microsoftonline.com'],
    scope_for_refresh_token: 'offline_access',
    accepts_resource: false,
    scope_on_refresh: true,
  }),
  profile({
    id: 'github',
    title: 'GitHub',
    source: 'reported',
    hosts: ['github.com'],
    rotation: 'one_time',
    dead_grant_codes: ['bad_refresh_token'],
  }),
  profile({
    id: 'gitlab',
    title: 'GitLab',
    source: 'reported',
    hosts: ['gitlab.com'],
    rotation: 'one_time',
  }),
  profile({
    id: 'slack',
    title: 'Slack',
    source: 'reported',
    hosts: ['slack.com'],
    rotation: 'one_time',
    dead_grant_codes: ['invalid_refresh_token'],
  }),
  profile({
    id: 'notion',
    title: 'Notion',
    source: 'reported',
    hosts: ['api.notion.com', 'mcp.notion.com'],
    rotation: 'one_time',
  }),
  profile({
    id: 'atlassian',
    title: 'Atlassian',
    source: 'reported',
    hosts: ['auth.atlassian.com'],
    rotation: 'rotating',
    scope_for_refresh_token: 'offline_access',
    authorize_params: { audience: 'api.atlassian.com', prompt: 'consent' },
  }),
];

function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith('.') ? host.endsWith(pattern) : host === pattern;
}

/** The profile named on the connection, else the one whose host it is, else the cautious default. */
export function providerProfile(id: string | undefined, tokenEndpoint: string | null): ProviderProfile {
  const named = PROVIDER_PROFILES.find((candidate) => candidate.id === id);
  if (named) return named;
  if (tokenEndpoint === null) return UNKNOWN;
  const host = new URL(tokenEndpoint).hostname;
  return PROVIDER_PROFILES.find((candidate) => candidate.hosts.some((entry) => matchesHost(entry, host))) ?? UNKNOWN;
}
