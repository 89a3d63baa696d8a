import type { Migration } from 'kysely';
import { connections } from './000001-connections.ts';
import { connectionCredentials } from './000002-connection-credentials.ts';
import { oauthStates } from './000003-oauth-states.ts';
import { oauthClients } from './000004-oauth-clients.ts';
import { replicas } from './000005-replicas.ts';
import { toolCatalog } from './000006-tool-catalog.ts';
import { signIn } from './000007-sign-in.ts';
import { encryptionKeys } from './000008-encryption-keys.ts';
import { connectionAuthEvents } from './000040-connection-auth-events.ts';
import { tokenRevocations } from './000041-token-revocations.ts';
import { refreshDeadlines } from './000042-refresh-deadlines.ts';
import { issuerIncidents } from './000043-issuer-incidents.ts';
import { takenIntents } from './000044-taken-intents.ts';
import { upstreamCatalog } from './000046-upstream-catalog.ts';
import { callRecords } from './000047-call-records.ts';
import { toolChanges } from './000048-tool-changes.ts';

/** `breaking`: a server that does not know this migration must not run on the schema that it leaves. */
export type NumberedMigration = Migration & { breaking?: boolean };

/** In order: base tables are 000001 to 000039, later ones come above 000040. */
export const migrations: Record<string, NumberedMigration> = {
  '000001_connections': connections,
  '000002_connection_credentials': connectionCredentials,
  '000003_oauth_states': oauthStates,
  '000004_oauth_clients': oauthClients,
  '000005_replicas': replicas,
  '000006_tool_catalog': toolCatalog,
  '000007_sign_in': signIn,
  '000008_encryption_keys': encryptionKeys,
  '000040_connection_auth_events': connectionAuthEvents,
  '000041_token_revocations': tokenRevocations,
  '000042_refresh_deadlines': refreshDeadlines,
  '000043_issuer_incidents': issuerIncidents,
  '000044_taken_intents': takenIntents,
  '000046_upstream_catalog': upstreamCatalog,
  '000047_call_records': callRecords,
  '000048_tool_changes': toolChanges,
};
