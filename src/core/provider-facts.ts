/** How much a provider needs `oauth2_refresh_max_lifetime`, since it neither discloses nor fixes the lifetime itself. */
export const MAX_LIFETIME_NEEDS = ['required', 'recommended', 'optional'] as const;

/**
 * What is known of the tokens of one identity provider, and how it wants to be asked. Every field can be overridden on
 * the connection (`oauth2_profile`). Durations are milliseconds; null: not known, or there is none.
 */
export type ProviderFacts = {
  /**
   * none: the refresh token stays; rotating: a new one with each use; one_time: the old one is dead at once, and its
   * reuse may end the grant; unknown: assume the strictest.
   */
  rotation: 'none' | 'rotating' | 'one_time' | 'unknown';
  /** Whether the previous token (N-1) is still honoured for a while after a rotation (protocol rule 14). */
  honours_previous: boolean;
  /** How long it is honoured; null: until the new one is used. */
  grace_window: number | null;
  /** Codes beside `invalid_grant` that prove the grant dead. */
  dead_grant_codes: readonly string[];
  /** False: it never gives a refresh token, so a person connects again each time. */
  gives_refresh_token: boolean;
  scope_for_refresh_token: string | null;
  /** Without this scope the refresh token ends with the browser session of whoever consented. */
  session_bound_without_scope: string | null;
  authorize_params: Readonly<Record<string, string>>;
  /** Whether RFC 8707 `resource` may be sent. */
  accepts_resource: boolean;
  /** Whether a refresh must name the scope again. */
  scope_on_refresh: boolean;
  /** How a client with a secret proves itself; null: as the server's metadata says. */
  token_endpoint_auth_method: 'client_secret_basic' | 'client_secret_basic_raw' | 'client_secret_post' | 'none' | null;
  /**
   * What a client that signs (`private_key_jwt`) names as the audience. The issuer is what the successor of RFC 7523 asks
   * for, since a token endpoint may be named by another server, too; some know their token endpoint alone.
   */
  client_assertion_audience: 'issuer' | 'token_endpoint';
  /** The `Accept` header of a token request: some answer in another form without it. */
  token_accept: string;
  /** How long its access tokens live where an answer does not say. For the forecast, never for a verdict. */
  access_lifetime: number | null;
  /** Unused for so long, a refresh token dies; each use, or the rotation that it brings, begins it anew. */
  refresh_idle_lifetime: number | null;
  /** So long after the consent the grant ends, whatever is done meanwhile. */
  refresh_absolute_lifetime: number | null;
  /** Whether its answers tell when the refresh token ends. */
  discloses_refresh_expiry: boolean;
  max_lifetime_need: (typeof MAX_LIFETIME_NEEDS)[number];
  /** A consent screen that is not published yet gives grants of this lifetime. */
  testing_mode_lifetime: number | null;
  /** The operator knows that the consent screen is in testing. */
  testing_mode: boolean;
  /** Whether one refresh right after the consent is harmless, and so proves that the grant can be renewed. */
  refresh_canary: boolean;
};

export type ProviderProfile = ProviderFacts & {
  id: string;
  title: string;
  /** `described`: from the described system; `reported`: publicly reported, not verified by us. */
  source: 'described' | 'reported' | 'default';
  /** Host names of its authorization servers; a leading dot matches any subdomain. */
  hosts: readonly string[];
  /** Where the host is the operator's own: how the path of its token endpoint ends. */
  token_path: string | null;
};

/** What is assumed of whom nobody knows: the strictest. */
export const UNKNOWN_PROVIDER: ProviderProfile = {
  id: 'unknown',
  title: 'Unknown provider',
  source: 'default',
  hosts: [],
  token_path: null,
  rotation: 'unknown',
  honours_previous: false,
  grace_window: null,
  dead_grant_codes: [],
  gives_refresh_token: true,
  scope_for_refresh_token: null,
  session_bound_without_scope: null,
  authorize_params: {},
  accepts_resource: true,
  scope_on_refresh: false,
  token_endpoint_auth_method: null,
  client_assertion_audience: 'issuer',
  token_accept: 'application/json',
  access_lifetime: null,
  refresh_idle_lifetime: null,
  refresh_absolute_lifetime: null,
  discloses_refresh_expiry: false,
  max_lifetime_need: 'optional',
  testing_mode_lifetime: null,
  testing_mode: false,
  refresh_canary: true,
};
