import { z } from 'zod';
import {
  AUTH_EVENT_TYPES,
  type AuthEvent,
  authEventDetailSchema,
  DECIDERS,
  REVOCATION_REASONS,
} from '../core/auth-event.ts';
import { OAUTH_GRANTS } from '../core/connection.ts';
import { FINDING_CODES, SEVERITIES } from '../core/connection-audit.ts';
import { HEALTHS, type OAuthStatus, RENEWALS } from '../core/connection-status.ts';
import { CREDENTIAL_STATES } from '../core/credential.ts';
import { DISCONNECT_OUTCOMES } from '../core/dropped-token.ts';
import { ERROR_TABLE, type ErrorCode, type FieldIssue } from '../core/errors.ts';
import { FORECAST_REASONS } from '../core/forecast.ts';
import type { OpenIncident } from '../core/open-incidents.ts';
import { PROVIDER_IDS } from '../core/provider-profiles.ts';
import { callListSchema, callRecordSchema, toolChangeListSchema, toolChangeSchema } from './call-schemas.ts';
import { gatewayStatusSchema } from './gateway-schemas.ts';
import { pageLimit } from './parameters.ts';

export type { AuthEventDetail, AuthEventType, Decider, ErrorClass, RevocationReason } from '../core/auth-event.ts';
export {
  AUTH_EVENT_TYPES,
  DECIDERS,
  ERROR_CLASSES,
  REVOCATION_REASONS,
} from '../core/auth-event.ts';
export type { CallOutcome } from '../core/call-record.ts';
export { CALL_OUTCOMES } from '../core/call-record.ts';
export type { AuthMode, ConnectionKey } from '../core/connection.ts';
export { AUTH_MODES, CONNECTION_KIND, CONNECTION_NAME, connectionLabel, OAUTH_GRANTS } from '../core/connection.ts';
export type { Finding } from '../core/connection-audit.ts';
export type { Health } from '../core/connection-status.ts';
export { HEALTHS } from '../core/connection-status.ts';
export type { CredentialState, RefreshReason } from '../core/credential.ts';
export { CREDENTIAL_STATES, REFRESH_REASONS } from '../core/credential.ts';
export { DISCONNECT_OUTCOMES } from '../core/dropped-token.ts';
export type { ErrorCode, FieldIssue } from '../core/errors.ts';
export { ERROR_TABLE } from '../core/errors.ts';
export type { GrantGrade } from '../core/grant-grade.ts';
export { REDACTED } from '../core/redact.ts';
export { type CallList, type CallRecord, callListSchema, callQuerySchema, callRecordSchema } from './call-schemas.ts';
export { connectionParamsSchema } from './parameters.ts';
export { PROVIDER_IDS };

export const ROLES = ['admin', 'agent'] as const;
export const CONNECTION_SOURCES = ['api', 'file'] as const;
export const ENGINES = ['embedded', 'postgresql'] as const;
export const REACQUIRE_OUTCOMES = ['refreshed', 'current'] as const;

const instant = z.iso.datetime();
const instantOrNull = instant.nullable();

const ERROR_CODES = Object.keys(ERROR_TABLE) as [ErrorCode, ...ErrorCode[]];

export const fieldIssueSchema = z.object({
  path: z.string().describe('The field as the caller wrote it.'),
  message: z.string().describe('What is wanted.'),
}) satisfies z.ZodType<FieldIssue>;

/** @see https://www.rfc-editor.org/rfc/rfc9457#section-3 */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().describe('What failed, on which connection, and what to do now.'),
  code: z.enum(ERROR_CODES),
  instance: z.string().optional().describe('Names this occurrence in the log.'),
  issues: z.array(fieldIssueSchema),
});
export type Problem = z.infer<typeof problemSchema>;

const forecastSchema = z.object({
  lives_until: instantOrNull,
  reason: z.enum(FORECAST_REASONS),
  sentence: z.string(),
});

export const oauthStatusSchema = z.object({
  configured: z.boolean(),
  grant: z.enum(OAUTH_GRANTS),
  state: z.enum(CREDENTIAL_STATES),
  health: z.enum(HEALTHS),
  summary: z.string(),
  needs_reauth: z.boolean(),
  token_acquired: z.boolean(),
  expires_at: instantOrNull,
  last_refreshed_at: instantOrNull,
  has_refresh_token: z.boolean(),
  refresh_expires_at: instantOrNull,
  last_error: z.string().nullable(),
  failing_since: instantOrNull,
  held_since: instantOrNull.describe('Refused by the provider since then; kept until the refusal is confirmed.'),
  issuer_incident: z
    .object({ opened_at: instant, next_probe_at: instant })
    .nullable()
    .describe('Many connections fail at this authorization server: it is asked with one of them at a time.'),
  token_url: z.string().nullable(),
  idp_host: z.string().nullable(),
  scope: z.string().nullable(),
  authenticated_by: z.string().nullable(),
  authenticated_at: instantOrNull,
  next_refresh_at: instantOrNull,
  next_refresh_reason: z.string().nullable(),
  generation: z.string(),
  forecast: forecastSchema,
  provider: z.object({ id: z.string(), title: z.string(), source: z.enum(['described', 'reported', 'default']) }),
  renewal: z.enum(RENEWALS),
  findings: z.array(z.object({ code: z.enum(FINDING_CODES), severity: z.enum(SEVERITIES), sentence: z.string() })),
  needs_person: z.boolean(),
  last_revocation: z
    .object({
      occurred_at: instant,
      reason: z.enum(REVOCATION_REASONS),
      idp_host: z.string().nullable(),
      decided_by: z.enum(DECIDERS),
    })
    .nullable(),
}) satisfies z.ZodType<OAuthStatus>;
export type { OAuthStatus } from '../core/connection-status.ts';

export const connectionSchema = z.object({
  kind: z.string(),
  name: z.string(),
  description: z.string(),
  source: z.enum(CONNECTION_SOURCES).describe('`file`: declared in the configuration file, so not changed here.'),
  config: z.record(z.string(), z.unknown()).describe('Secrets read `[REDACTED]`.'),
  issues: z.array(fieldIssueSchema).readonly().describe('Not empty: the stored configuration cannot be used.'),
  created_at: instant,
  updated_at: instant,
  updated_by: z.string(),
  oauth: oauthStatusSchema.nullable().describe('null unless auth_mode is oauth.'),
  gateway: gatewayStatusSchema.nullable().describe('null: not opened here, because its configuration is not valid.'),
});
export type Connection = z.infer<typeof connectionSchema>;

export const connectionListSchema = z.object({ connections: z.array(connectionSchema) });

const configRecord = z.record(z.string(), z.unknown(), 'must be an object with the keys of the configuration');

export const connectionInputSchema = z.strictObject({
  config: configRecord.describe('A secret of exactly `[REDACTED]` keeps the stored one.'),
  description: z
    .string('must be a text')
    .max(1_000, 'must be at most 1000 characters')
    .optional()
    .describe('Left out: unchanged.'),
});
export type ConnectionInput = z.infer<typeof connectionInputSchema>;

export const consentInputSchema = z.strictObject({
  return_url: z
    .string('must be a text')
    .max(2_000, 'must be at most 2000 characters')
    .optional()
    .describe('Where the browser ends up: a path of this site. Anything else becomes the page of the connections.'),
});
export type ConsentInput = z.infer<typeof consentInputSchema>;

export const consentStartedSchema = z.object({
  authorization_url: z.string().describe('Where to send the browser.'),
  state: z.string(),
  redirect_uri: z.string(),
  expires_at: instant,
});
export type ConsentStarted = z.infer<typeof consentStartedSchema>;

export const authEventSchema = z.object({
  id: z.string(),
  sequence: z.string(),
  occurred_at: instant,
  connection_kind: z.string(),
  connection_name: z.string(),
  event_type: z.enum(AUTH_EVENT_TYPES),
  actor: z.string(),
  idp_host: z.string().nullable(),
  detail: authEventDetailSchema,
}) satisfies z.ZodType<AuthEvent>;
export type { AuthEvent } from '../core/auth-event.ts';

export const authEventListSchema = z.object({
  events: z.array(authEventSchema).describe('Newest first.'),
  next_before: z.string().nullable().describe('The `before` of the next page; null: this was the last.'),
});
export type AuthEventList = z.infer<typeof authEventListSchema>;

export const reacquireResultSchema = z.object({
  outcome: z.enum(REACQUIRE_OUTCOMES).describe('`current`: another attempt had already brought a newer token.'),
  status: oauthStatusSchema,
});
export type ReacquireResult = z.infer<typeof reacquireResultSchema>;

export const disconnectResultSchema = z.object({
  upstream: z
    .enum(DISCONNECT_OUTCOMES)
    .describe(
      '`pending`: not confirmed yet, tried again in the background. `unsupported`: the server offers no revocation. `unreadable`: the stored token cannot be decrypted. `failed`: the server does not revoke such tokens. `nothing`: there was no token.',
    ),
  message: z.string().describe('What became of the token, and what is left to do.'),
  status: oauthStatusSchema,
});
export type DisconnectResult = z.infer<typeof disconnectResultSchema>;

export const toolkitTestSchema = z.object({
  ok: z.boolean(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type ToolkitTest = z.infer<typeof toolkitTestSchema>;

export const oauthHealthSchema = z.object({
  connections: z.array(z.object({ kind: z.string(), name: z.string(), oauth: oauthStatusSchema })),
  incidents: z
    .array(
      z.object({
        idp_host: z.string(),
        opened_at: instant,
        next_probe_at: instant,
        connections: z.number(),
        failing: z.number(),
        held: z.number(),
        sentence: z.string(),
      }) satisfies z.ZodType<OpenIncident>,
    )
    .describe('Open incidents: authorization servers at which many connections fail.'),
});
export type OAuthHealth = z.infer<typeof oauthHealthSchema>;

export const sessionSchema = z.object({
  actor: z.string(),
  role: z.enum(ROLES),
  expires_at: instantOrNull.describe('null: an API key, which has no session.'),
});
export type Session = z.infer<typeof sessionSchema>;

export const systemInfoSchema = z.object({
  version: z.string(),
  engine: z.enum(ENGINES),
  public_url: z.string(),
  mcp_endpoint: z.string(),
});
export type SystemInfo = z.infer<typeof systemInfoSchema>;

/** What the running server tells the doctor on the command line. */
export const examinationSchema = z.object({
  system: systemInfoSchema,
  connections: oauthHealthSchema.shape.connections,
  incidents: oauthHealthSchema.shape.incidents,
});
export type Examination = z.infer<typeof examinationSchema>;

const eventType = z.enum(AUTH_EVENT_TYPES, `must be one of ${AUTH_EVENT_TYPES.join(', ')}`);
export const authEventQuerySchema = z.strictObject({
  limit: pageLimit,
  before: z
    .string('must be given once')
    .regex(/^\d{1,18}$/, 'must be the next_before of an earlier answer')
    .optional(),
  type: z
    .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(eventType))
    .optional()
    .describe('May be repeated.') as unknown as z.ZodOptional<
    z.ZodType<AuthEvent['event_type'][], AuthEvent['event_type'] | AuthEvent['event_type'][]>
  >,
});

/** Every shape that has a name of its own in the OpenAPI document. */
export const WIRE_SCHEMAS = {
  AuthEvent: authEventSchema,
  AuthEventList: authEventListSchema,
  CallList: callListSchema,
  CallRecord: callRecordSchema,
  Connection: connectionSchema,
  ConnectionInput: connectionInputSchema,
  ConnectionList: connectionListSchema,
  ConsentInput: consentInputSchema,
  ConsentStarted: consentStartedSchema,
  DisconnectResult: disconnectResultSchema,
  FieldIssue: fieldIssueSchema,
  GatewayStatus: gatewayStatusSchema,
  OAuthHealth: oauthHealthSchema,
  OAuthStatus: oauthStatusSchema,
  Problem: problemSchema,
  ReacquireResult: reacquireResultSchema,
  Session: sessionSchema,
  SystemInfo: systemInfoSchema,
  ToolChange: toolChangeSchema,
  ToolChangeList: toolChangeListSchema,
  ToolkitTest: toolkitTestSchema,
} as const satisfies Record<string, z.ZodType>;
