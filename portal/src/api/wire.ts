// The wire's types, from the contract and from nowhere else.
export { ApiProblem, type Client, type ClientOutput } from '../../../src/contract/client.ts';
export type {
  AuthEvent,
  AuthEventType,
  AuthMode,
  Connection,
  ConnectionKey,
  CredentialState,
  Decider,
  ErrorClass,
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
  CONNECTION_NAME,
  OAUTH_GRANTS,
  PROVIDER_IDS,
  REDACTED,
} from '../../../src/contract/schemas.ts';
