import { type ProviderProfile, UNKNOWN_PROVIDER } from './provider-facts.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const profile = (
  fields: Partial<ProviderProfile> & Pick<ProviderProfile, 'id' | 'title' | 'source'>,
): ProviderProfile => ({ ...UNKNOWN_PROVIDER, ...fields });

const OFFLINE_ACCESS = 'offline_access';

/** What the described system says of its providers. */
const DESCRIBED: readonly ProviderProfile[] = [
  profile({
    id: 'keycloak',
    title: 'Keycloak',
    source: 'described',
    token_path: '/protocol/openid-connect/token',
    scope_for_refresh_token: OFFLINE_ACCESS,
    // Its refresh tokens end with the SSO session: 30 idle minutes by default.
    session_bound_without_scope: OFFLINE_ACCESS,
    discloses_refresh_expiry: true,
  }),
  profile({
    id: 'auth0',
    title: 'Auth0',
    source: 'described',
    hosts: ['.auth0.com'],
    scope_for_refresh_token: OFFLINE_ACCESS,
  }),
  profile({
    id: 'okta',
    title: 'Okta',
    source: 'described',
    hosts: ['.okta.com', '.oktapreview.com'],
    client_assertion_audience: 'token_endpoint',
    scope_for_refresh_token: OFFLINE_ACCESS,
  }),
  profile({
    id: 'google',
    title: 'Google',
    source: 'described',
    hosts: ['accounts.google.com', 'oauth2.googleapis.com'],
    rotation: 'none',
    authorize_params: { access_type: 'offline', prompt: 'consent' },
    refresh_idle_lifetime: 180 * DAY,
    testing_mode_lifetime: 7 * DAY,
  }),
  profile({
    id: 'salesforce',
    title: 'Salesforce',
    source: 'described',
    hosts: ['login.salesforce.com', 'test.salesforce.com', '.my.salesforce.com'],
    scope_for_refresh_token: 'refresh_token',
    // By the policy of the connected app, which nobody but its administrator knows.
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'entra',
    title: 'Microsoft Entra',
    source: 'described',
    hosts: ['login.microsoftonline.com'],
    client_assertion_audience: 'token_endpoint',
    scope_for_refresh_token: OFFLINE_ACCESS,
    accepts_resource: false,
    scope_on_refresh: true,
    refresh_idle_lifetime: 90 * DAY,
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'blackbaud',
    title: 'Blackbaud',
    source: 'described',
    hosts: ['oauth2.sky.blackbaud.com', 'app.blackbaud.com'],
    rotation: 'one_time',
    // From the issue of each token: only a rotation begins it anew.
    refresh_idle_lifetime: 60 * DAY,
    max_lifetime_need: 'required',
  }),
];

/** Publicly reported, not verified by us. */
const REPORTED: readonly ProviderProfile[] = [
  profile({
    id: 'github',
    title: 'GitHub',
    source: 'reported',
    hosts: ['github.com'],
    // Of GitHub Apps; classic OAuth apps give a token that never ends, and nothing to refresh.
    rotation: 'one_time',
    dead_grant_codes: ['bad_refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
    access_lifetime: 8 * HOUR,
    refresh_idle_lifetime: 180 * DAY,
    discloses_refresh_expiry: true,
  }),
  profile({
    id: 'gitlab',
    title: 'GitLab',
    source: 'reported',
    hosts: ['gitlab.com'],
    rotation: 'one_time',
    access_lifetime: 2 * HOUR,
  }),
  profile({
    id: 'slack',
    title: 'Slack',
    source: 'reported',
    hosts: ['slack.com'],
    rotation: 'one_time',
    dead_grant_codes: ['invalid_refresh_token'],
    access_lifetime: 12 * HOUR,
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
    scope_for_refresh_token: OFFLINE_ACCESS,
    authorize_params: { audience: 'api.atlassian.com', prompt: 'consent' },
  }),
  profile({
    id: 'xero',
    title: 'Xero',
    source: 'reported',
    hosts: ['identity.xero.com'],
    scope_for_refresh_token: OFFLINE_ACCESS,
    refresh_idle_lifetime: 60 * DAY,
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'airtable',
    title: 'Airtable',
    source: 'reported',
    hosts: ['airtable.com'],
    refresh_idle_lifetime: 60 * DAY,
    discloses_refresh_expiry: true,
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'docusign',
    title: 'DocuSign',
    source: 'reported',
    hosts: ['account.docusign.com', 'account-d.docusign.com'],
    refresh_idle_lifetime: 30 * DAY,
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'deel',
    title: 'Deel',
    source: 'reported',
    hosts: ['app.deel.com'],
    refresh_idle_lifetime: 90 * DAY,
    max_lifetime_need: 'recommended',
  }),
  profile({
    id: 'meta-ads',
    title: 'Meta Ads',
    source: 'reported',
    hosts: ['graph.facebook.com'],
    gives_refresh_token: false,
    access_lifetime: 60 * DAY,
  }),
  profile({
    id: 'reddit',
    title: 'Reddit',
    source: 'reported',
    hosts: ['www.reddit.com'],
    authorize_params: { duration: 'permanent' },
  }),
  profile({
    id: 'hydra',
    title: 'Ory Hydra',
    source: 'reported',
    hosts: ['.oryapis.com'],
    rotation: 'one_time',
    // A grace window is an operator's setting, so it is not relied upon.
    scope_for_refresh_token: OFFLINE_ACCESS,
  }),
  profile({
    id: 'doorkeeper',
    title: 'Doorkeeper',
    source: 'reported',
    rotation: 'rotating',
    // Revoked once the new access token is used, where its application keeps the previous token at all.
    honours_previous: true,
  }),
  profile({
    id: 'cognito',
    title: 'Amazon Cognito',
    source: 'reported',
    hosts: ['.amazoncognito.com'],
    honours_previous: true,
    grace_window: MINUTE,
  }),
];

/** Every provider that is known, as data. */
export const PROVIDER_PROFILES: readonly ProviderProfile[] = [...DESCRIBED, ...REPORTED];

export const PROVIDER_IDS: readonly string[] = PROVIDER_PROFILES.map(({ id }) => id);
