// The wire's types, from the contract and from nowhere else.

import type { ToolChangeList } from '../../../src/contract/call-schemas.ts';

export type { CallList, CallRecord } from '../../../src/contract/call-schemas.ts';
export { ApiProblem, type Client, type ClientOutput } from '../../../src/contract/client.ts';
export type { GatewayStatus } from '../../../src/contract/gateway-schemas.ts';
export type {
  AuthEvent,
  AuthEventType,
  AuthMode,
  CallOutcome,
  Connection,
  ConnectionKey,
  CredentialState,
  Decider,
  ErrorClass,
  ErrorCode,
  FieldIssue,
  Finding,
  GrantGrade,
  Health,
  OAuthStatus,
  RefreshReason,
  RevocationReason,
  ToolkitTest,
} from '../../../src/contract/schemas.ts';
export {
  AUTH_EVENT_TYPES,
  AUTH_MODES,
  CALL_OUTCOMES,
  CONNECTION_NAME,
  OAUTH_GRANTS,
  PROVIDER_IDS,
  REDACTED,
} from '../../../src/contract/schemas.ts';

export type ToolChange = ToolChangeList['tool_changes'][number];
