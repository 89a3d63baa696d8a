import { z } from 'zod';
import { parseDuration } from './duration.ts';
import type { FieldIssue } from './errors.ts';
import { checkKeyFields, keyFields } from './key-fields.ts';
import { profileOverrideSchema, providerIdSchema } from './provider-profile.ts';

/** A connection is identified by its kind and its name, everywhere. */
export type ConnectionKey = { kind: string; name: string };

export const CONNECTION_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
export const CONNECTION_KIND = /^[a-z][a-z0-9-]{0,30}$/;

export function connectionLabel(key: ConnectionKey): string {
  return `${key.kind}/${key.name}`;
}

const NAME_RULE =
  'must be 1 to 63 characters: lower-case letters, digits and hyphens, beginning with a letter or digit';

export const connectionNameSchema = z.string().regex(CONNECTION_NAME, NAME_RULE);

export const AUTH_MODES = ['none', 'bearer', 'api_key', 'basic', 'oauth'] as const;
export type AuthMode = (typeof AUTH_MODES)[number];

export const TOKEN_ENDPOINT_AUTH_METHODS = [
  'client_secret_basic',
  'client_secret_basic_raw',
  'client_secret_post',
  'none',
  'private_key_jwt',
] as const;
export type TokenEndpointAuthMethod = (typeof TOKEN_ENDPOINT_AUTH_METHODS)[number];

/** How tokens are obtained: a person consents (RFC 6749 §4.1), or the client asks in its own name (§4.4). */
export const OAUTH_GRANTS = ['authorization_code', 'client_credentials'] as const;
export type OAuthGrant = (typeof OAUTH_GRANTS)[number];

function absoluteUrlIssue(text: string): string | undefined {
  if (!URL.canParse(text)) return 'must be an absolute http or https URL';
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must be an absolute http or https URL';
  if (url.username || url.password) return 'must not carry a user name or password; use the auth_mode fields';
  if (url.hash) return 'must not carry a fragment (#…)';
  return undefined;
}

export const absoluteUrl = z
  .string()
  .trim()
  .superRefine((text, context) => {
    const issue = absoluteUrlIssue(text);
    if (issue) context.addIssue({ code: 'custom', message: issue });
  });

const duration = z
  .string()
  .trim()
  .refine((text) => parseDuration(text) !== undefined, 'must be a duration such as 60d, 24h, 30m or 1h30m');

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Headers that the platform or the transport owns: a static header may not replace them. */
const RESERVED_HEADERS = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'host',
  'keep-alive',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const headerName = z
  .string()
  .regex(HEADER_NAME, 'is not a valid header name')
  .refine((name) => !RESERVED_HEADERS.has(name.toLowerCase()), 'is set by the platform and cannot be a static header');

const secretText = z
  .string()
  .min(1, 'must not be empty')
  .refine((text) => !/[\r\n\0]/.test(text), 'must not contain line breaks');

/** The keys that every kind of connection shares: how to authenticate, and how long to wait. */
export const sharedConfigShape = {
  auth_mode: z.enum(AUTH_MODES).default('none'),
  credential: secretText.optional(),
  api_key_placement: z.enum(['header', 'query']).optional(),
  api_key_header: headerName.optional(),
  api_key_param: z.string().min(1).optional(),
  username: z.string().min(1).optional(),
  password: secretText.optional(),
  static_headers: z.record(headerName, secretText).optional(),
  provider: providerIdSchema.optional(),
  oauth2_profile: profileOverrideSchema.optional(),
  oauth2_refresh_canary: z.boolean('must be true or false').optional(),
  oauth2_grant: z.enum(OAUTH_GRANTS).optional(),
  oauth2_issuer: absoluteUrl.optional(),
  oauth2_authorization_url: absoluteUrl.optional(),
  oauth2_token_url: absoluteUrl.optional(),
  oauth2_revocation_url: absoluteUrl.optional(),
  oauth2_client_id: z.string().min(1).optional(),
  oauth2_client_secret: secretText.optional(),
  oauth2_scope: z.string().trim().optional(),
  oauth2_prompt: z.string().min(1).optional(),
  oauth2_authorize_params: z.record(z.string().min(1), z.string()).optional(),
  oauth2_token_endpoint_auth_method: z.enum(TOKEN_ENDPOINT_AUTH_METHODS).optional(),
  oauth2_refresh_max_lifetime: duration.optional(),
  oauth2_resource: z.union([z.enum(['auto', 'off']), absoluteUrl]).optional(),
  ...keyFields,
  connect_timeout: duration.optional(),
  call_timeout: duration.optional(),
} as const;

type SharedConfig = z.infer<z.ZodObject<typeof sharedConfigShape>>;

/** Parameters of the authorization request that the flow itself owns. */
const OWNED_AUTHORIZE_PARAMS = new Set([
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'redirect_uri',
  'resource',
  'response_type',
  'scope',
  'state',
]);

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4 «The client credentials grant type MUST only be used by confidential clients.» */
function checkClientCredentials(config: SharedConfig, issue: (path: string, message: string) => void): void {
  if (config.oauth2_grant !== 'client_credentials') return;
  const because = 'is required when oauth2_grant is client_credentials';
  if (!config.oauth2_client_id) issue('oauth2_client_id', because);
  if (!config.oauth2_client_secret && !config.oauth2_client_private_key_pem) issue('oauth2_client_secret', because);
  if (config.oauth2_token_endpoint_auth_method === 'none') {
    issue('oauth2_token_endpoint_auth_method', 'must not be none when oauth2_grant is client_credentials');
  }
}

/** The rules between fields, the same for every kind. */
export function checkSharedConfig(config: SharedConfig, context: z.RefinementCtx): void {
  const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  if (config.auth_mode === 'bearer' && !config.credential) issue('credential', 'is required when auth_mode is bearer');
  if (config.auth_mode === 'api_key' && !config.credential)
    issue('credential', 'is required when auth_mode is api_key');
  if (config.auth_mode === 'basic' && !config.username) issue('username', 'is required when auth_mode is basic');
  if (config.auth_mode === 'basic' && !config.password) issue('password', 'is required when auth_mode is basic');
  if (config.api_key_placement === 'query' && !config.api_key_param) {
    issue('api_key_param', 'is required when api_key_placement is query');
  }
  if (config.oauth2_authorization_url && !config.oauth2_token_url) {
    issue('oauth2_token_url', 'is required beside oauth2_authorization_url');
  }
  if (config.oauth2_client_secret && !config.oauth2_client_id) {
    issue('oauth2_client_id', 'is required beside oauth2_client_secret');
  }
  checkClientCredentials(config, issue);
  checkKeyFields(config, issue);
  if (config.oauth2_token_endpoint_auth_method?.startsWith('client_secret') && !config.oauth2_client_secret) {
    issue('oauth2_client_secret', `is required by ${config.oauth2_token_endpoint_auth_method}`);
  }
  for (const name of Object.keys(config.oauth2_authorize_params ?? {})) {
    if (OWNED_AUTHORIZE_PARAMS.has(name)) issue('oauth2_authorize_params', `must not set ${name}: the flow sets it`);
  }
  for (const name of Object.keys(config.oauth2_profile?.authorize_params ?? {})) {
    const path = ['oauth2_profile', 'authorize_params'];
    const message = `must not set ${name}: the flow sets it`;
    if (OWNED_AUTHORIZE_PARAMS.has(name)) context.addIssue({ code: 'custom', path, message });
  }
}

/** How an upstream MCP server is reached over HTTP; `auto` finds out. */
export const MCP_TRANSPORTS = ['auto', 'streamable-http', 'sse'] as const;

/** A program of the server's machine in place of an endpoint: only the operator's configuration file may name one. */
const commandShape = {
  command: z.string().min(1, 'must not be empty').optional(),
  args: z.array(z.string()).optional(),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not a name of an environment variable'), z.string())
    .optional(),
  cwd: z.string().min(1, 'must not be empty').optional(),
} as const;

type CommandConfig = z.infer<z.ZodObject<typeof commandShape>> & { endpoint?: string; transport?: string };

function checkCommand(config: CommandConfig & SharedConfig, context: z.RefinementCtx): void {
  const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  if (config.command === undefined) {
    if (config.endpoint === undefined) issue('endpoint', 'is required');
    for (const key of ['args', 'env', 'cwd'] as const) {
      if (config[key] !== undefined) issue(key, 'is of use only beside command');
    }
    return;
  }
  for (const key of ['endpoint', 'transport', 'static_headers'] as const) {
    if (config[key] !== undefined) issue(key, 'must not stand beside command');
  }
  if (config.auth_mode !== 'none')
    issue('auth_mode', 'must be none beside command; give the program its secrets in env');
}

/** The configuration of a connection of kind `mcp`. */
export const mcpConfigSchema = z
  .strictObject({
    endpoint: absoluteUrl.optional(),
    transport: z.enum(MCP_TRANSPORTS).optional(),
    ...commandShape,
    ...sharedConfigShape,
  })
  .superRefine((config, context) => {
    checkSharedConfig(config, context);
    checkCommand(config, context);
  });

/**
 * A program is run only where the operator's own file says so: whoever reaches the admin API or the database must not be
 * able to start one.
 */
export function commandIssue(source: 'api' | 'file', config: Record<string, unknown>): FieldIssue | undefined {
  if (source === 'file' || config.command === undefined) return undefined;
  return { path: 'command', message: 'is accepted from the configuration file of the server alone' };
}

export type McpConfig = z.infer<typeof mcpConfigSchema>;

/** Any kind's configuration: the shared keys, and `endpoint` or `base_url` as its destination. */
export type ConnectionConfig = SharedConfig & CommandConfig & { base_url?: string } & Record<string, unknown>;

/** What a toolkit brings for its kind, so that flows, db and contract validate alike. */
export type ConfigSchema = z.ZodType<ConnectionConfig>;
export type ConfigSchemas = ReadonlyMap<string, ConfigSchema>;

export type ParsedConfig = { ok: true; config: ConnectionConfig } | { ok: false; issues: FieldIssue[] };

/**
 * Validates one connection's configuration, on save and on load alike.
 * @returns the configuration with defaults applied, or every issue with the name of its field.
 */
export function parseConnectionConfig(schemas: ConfigSchemas, kind: string, raw: unknown): ParsedConfig {
  const schema = schemas.get(kind);
  if (!schema) {
    const known = [...schemas.keys()].join(', ');
    return { ok: false, issues: [{ path: 'kind', message: `"${kind}" is not a known kind; known kinds: ${known}` }] };
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return { ok: true, config: parsed.data };
  return { ok: false, issues: zodIssues(parsed.error) };
}

/** Turns zod's issues into ours: the field's path as the caller wrote it, and what is wanted. */
export function zodIssues(error: z.ZodError): FieldIssue[] {
  return error.issues.flatMap((issue): FieldIssue[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...issue.path, key].join('.'), message: 'is not a known field' }));
    }
    // Of a name within a map; its own message says only that it is wrong.
    const [why] = issue.code === 'invalid_key' ? issue.issues : [];
    return [{ path: issue.path.join('.') || '(body)', message: why?.message ?? issue.message }];
  });
}

/** Where the credentials of this connection are sent. */
export function destinationOf(config: ConnectionConfig): string | undefined {
  return config.endpoint ?? config.base_url;
}
