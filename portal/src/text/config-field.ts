import { AUTH_MODES, type AuthMode, OAUTH_GRANTS, PROVIDER_IDS, REDACTED } from '../api/wire.ts';

/** What stands in the form, by configuration key. A missing key is an empty field. */
export type FormTexts = Readonly<Record<string, string>>;

export type ConfigField = {
  key: string;
  label: string;
  type: 'text' | 'url' | 'secret' | 'choice' | 'flag' | 'map' | 'secret_map' | 'json' | 'number' | 'document' | 'pem';
  hint?: string;
  required?: boolean;
  choices?: readonly string[];
  /** What it means to choose none of them. */
  unset?: string;
  /** Whether what stands in other fields gives it a meaning. */
  isShown?: (texts: FormTexts) => boolean;
  /** Not offered unless asked for: most connections never need it. */
  advanced?: boolean;
};

const ENDPOINT: ConfigField = { key: 'endpoint', label: 'URL of the MCP server', type: 'url', required: true };
const BASE_URL: ConfigField = { key: 'base_url', label: 'Base URL of the API', type: 'url', required: true };
/** Of a kind that a toolkit brought. */
const ANY_ENDPOINT: ConfigField = { ...ENDPOINT, label: 'Endpoint' };

const MODE_FIELDS: Record<AuthMode, readonly ConfigField[]> = {
  none: [],
  bearer: [{ key: 'credential', label: 'Token', type: 'secret', required: true }],
  api_key: [
    { key: 'credential', label: 'Key', type: 'secret', required: true },
    {
      key: 'api_key_placement',
      label: 'Sent in',
      type: 'choice',
      choices: ['header', 'query'],
      unset: 'header (default)',
      hint: 'Servers and proxies write queries into their logs: prefer a header where there is a choice.',
    },
    {
      key: 'api_key_header',
      label: 'Header',
      type: 'text',
      hint: 'X-API-Key when left empty.',
      isShown: ({ api_key_placement }) => api_key_placement !== 'query',
    },
    {
      key: 'api_key_param',
      label: 'Query parameter',
      type: 'text',
      hint: 'Its name, such as key or api_key.',
      required: true,
      isShown: ({ api_key_placement }) => api_key_placement === 'query',
    },
  ],
  basic: [
    { key: 'username', label: 'User name', type: 'text', required: true },
    { key: 'password', label: 'Password', type: 'secret', required: true },
  ],
  oauth: [
    {
      key: 'oauth2_grant',
      label: 'Grant',
      type: 'choice',
      choices: OAUTH_GRANTS,
      hint: 'client_credentials: the platform asks in its own name, with a client id and secret; nobody signs in.',
      advanced: true,
    },
    {
      key: 'oauth2_client_id',
      label: 'Client ID',
      type: 'text',
      hint: 'Leave empty: the platform registers itself where the server allows it.',
      advanced: true,
    },
    { key: 'oauth2_client_secret', label: 'Client secret', type: 'secret', advanced: true },
    {
      key: 'oauth2_client_private_key_pem',
      label: 'Private key of the client (PEM)',
      type: 'pem',
      hint: `Instead of a secret, for private_key_jwt. ${REDACTED} keeps the stored one.`,
      advanced: true,
    },
    {
      key: 'oauth2_client_key_id',
      label: 'Key ID',
      type: 'text',
      hint: 'The kid of that key at the provider, if it asks for one.',
      advanced: true,
    },
    {
      key: 'oauth2_scope',
      label: 'Scope',
      type: 'text',
      hint: 'Separated by spaces, sent as written. Empty: what the server asks for.',
      advanced: true,
    },
    { key: 'oauth2_issuer', label: 'Issuer', type: 'url', hint: 'Empty: found by asking the server.', advanced: true },
    { key: 'oauth2_authorization_url', label: 'Authorization URL', type: 'url', advanced: true },
    { key: 'oauth2_token_url', label: 'Token URL', type: 'url', advanced: true },
    { key: 'oauth2_revocation_url', label: 'Revocation URL', type: 'url', advanced: true },
    {
      key: 'oauth2_token_endpoint_auth_method',
      label: 'Client authentication',
      type: 'choice',
      choices: ['client_secret_basic', 'client_secret_basic_raw', 'client_secret_post', 'none', 'private_key_jwt'],
      advanced: true,
    },
    {
      key: 'oauth2_refresh_max_lifetime',
      label: 'Refresh token lives without use for',
      type: 'text',
      hint: 'Such as 30m, 24h or 60d, if the provider has such a limit.',
      advanced: true,
    },
    {
      key: 'provider',
      label: 'Provider profile',
      type: 'choice',
      choices: PROVIDER_IDS,
      advanced: true,
    },
    {
      key: 'oauth2_profile',
      label: 'Changes to the provider profile',
      type: 'json',
      hint: 'A JSON object, such as {"rotation": "one_time"}; see docs/providers.md.',
      advanced: true,
    },
    {
      key: 'oauth2_refresh_canary',
      label: 'Refresh once right after connecting',
      type: 'flag',
      choices: ['true', 'false'],
      advanced: true,
    },
    {
      key: 'oauth2_resource',
      label: 'Resource (RFC 8707)',
      type: 'text',
      hint: 'auto, off, or a URL.',
      advanced: true,
    },
    { key: 'oauth2_prompt', label: 'Prompt', type: 'text', hint: 'Such as consent.', advanced: true },
    {
      key: 'oauth2_authorize_params',
      label: 'More authorization parameters',
      type: 'map',
      hint: 'One «name: value» a line.',
      advanced: true,
    },
  ],
};

const SHARED_FIELDS: readonly ConfigField[] = [
  {
    key: 'static_headers',
    label: 'Static headers',
    type: 'secret_map',
    hint: `One «Name: value» a line, sent with every request. ${REDACTED} keeps the stored value.`,
    advanced: true,
  },
  {
    key: 'tls_ca_bundle_pem',
    label: 'Trusted certificates (PEM)',
    type: 'pem',
    hint: 'Of a private authority that signed the certificate of this server, or of its identity provider.',
    advanced: true,
  },
  {
    key: 'mtls_client_cert_pem',
    label: 'Client certificate (PEM)',
    type: 'pem',
    hint: 'Shown to this server (mutual TLS), with its chain.',
    advanced: true,
  },
  {
    key: 'mtls_client_key_pem',
    label: 'Key of the client certificate (PEM)',
    type: 'pem',
    hint: `${REDACTED} keeps the stored one.`,
    advanced: true,
  },
  { key: 'connect_timeout', label: 'Connect timeout', type: 'text', hint: '10s when left empty.', advanced: true },
  { key: 'call_timeout', label: 'Call timeout', type: 'text', hint: '60s when left empty.', advanced: true },
];

const API_FIELDS: readonly ConfigField[] = [
  {
    key: 'openapi_spec',
    label: 'Description of the API (OpenAPI or Swagger)',
    type: 'document',
    hint: 'JSON or YAML. Without one, agents call the API by method and path.',
  },
  {
    key: 'openapi_url',
    label: 'URL of the description',
    type: 'url',
    hint: 'In place of the text: an address of the API itself, read again every few minutes.',
    advanced: true,
  },
  {
    key: 'max_response_bytes',
    label: 'Largest answer in bytes',
    type: 'number',
    hint: '10485760 when left empty; more is cut.',
    advanced: true,
  },
];

function kindFields(kind: string): readonly ConfigField[] {
  return kind === 'api' ? API_FIELDS : [];
}

function destinationField(kind: string): ConfigField {
  if (kind === 'api') return BASE_URL;
  return kind === 'mcp' ? ENDPOINT : ANY_ENDPOINT;
}

/** Those of a kind and a mode, shown or not. */
export function fieldsOf(kind: string, mode: AuthMode): ConfigField[] {
  return [destinationField(kind), ...MODE_FIELDS[mode], ...kindFields(kind), ...SHARED_FIELDS];
}

/** Which fields the form shows, in their order. */
export function fieldsFor(kind: string, mode: AuthMode, texts: FormTexts): ConfigField[] {
  return fieldsOf(kind, mode).filter(({ isShown }) => isShown === undefined || isShown(texts));
}

export function everyField(kind: string): ConfigField[] {
  const all = [
    destinationField(kind),
    ...AUTH_MODES.flatMap((mode) => MODE_FIELDS[mode]),
    ...kindFields(kind),
    ...SHARED_FIELDS,
  ];
  return [...new Map(all.map((field) => [field.key, field])).values()];
}
