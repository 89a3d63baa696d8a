import { type AuthEventDetail, REFUSES_CLIENT } from '../core/auth-event.ts';
import { connectionLabel } from '../core/connection.ts';
import type { ClientBinding } from '../core/credential.ts';
import type { PendingConsent } from '../core/ports.ts';
import type { CallbackResult } from './api.ts';
import type { Settled } from './settle.ts';

type Failure = Extract<CallbackResult, { ok: false }>;

export const EXPIRED: Failure = {
  ok: false,
  key: null,
  code: 'state_unknown',
  title: 'This sign-in attempt is no longer valid',
  message:
    'It was finished already, is older than ten minutes, or was begun in another browser. Nothing was changed. Open the connection and click Connect again, in this browser.',
  return_url: null,
};

export const PROBLEMS = {
  missing_code: 'The identity provider sent the browser back without a code.',
  repeated_parameter: 'The identity provider sent the browser back with a parameter given twice.',
  wrong_issuer:
    'The answer names another issuer than the one that was asked (RFC 9207), so it was refused: it may be an attack, or oauth2_issuer is not what the provider calls itself.',
  missing_issuer:
    'The provider promises to name itself in its answer (RFC 9207) and did not, so the answer was refused.',
} as const;

const AGAIN = 'Click Connect again; if it repeats, check the client and scope at the provider.';

/** What to do about a client that is refused. */
const CLIENT_HINT: Record<ClientBinding['client_source'], string> = {
  config: 'Check oauth2_client_id, oauth2_client_secret and oauth2_token_endpoint_auth_method.',
  dynamic_registration: 'Click Connect again: this server then registers another client there.',
  client_id_metadata_document:
    'Check that the provider can fetch the client metadata document of this server at its public URL.',
};

/** Why the code brought no connection, for the page and for the history. */
export function exchangeFailure(
  settled: Settled | undefined,
  host: string,
  client_source: ClientBinding['client_source'],
): { code: string; message: string; detail: AuthEventDetail } {
  if (!settled) {
    return {
      code: 'stored_later',
      message:
        'The provider gave a token, but the database cannot be reached. The token is safe on this server and is stored as soon as the database is back.',
      detail: { step: 'store' },
    };
  }
  const { outcome } = settled;
  if (outcome.type === 'success') {
    return {
      code: 'superseded',
      message:
        'While you signed in, this connection was changed, disconnected or connected anew, so this answer was not used.',
      detail: { step: 'superseded' },
    };
  }
  const known = outcome.idp_error_code;
  if (outcome.type === 'transient' && known === null) {
    return {
      code: outcome.error_class,
      message: `${host} gave no readable answer to the exchange of the code (${outcome.error_class}). Click Connect again.`,
      detail: { step: 'token_exchange', error_class: outcome.error_class },
    };
  }
  const hint = REFUSES_CLIENT.has(known ?? '') ? CLIENT_HINT[client_source] : AGAIN;
  return {
    code: known ?? 'unknown',
    message: `${host} refused to exchange the code for a token (${known}). ${hint}`,
    detail: { step: 'token_exchange', idp_error_code: known ?? undefined },
  };
}

export function refusal({ key, return_url }: PendingConsent, code: string, message: string): Failure {
  return { ok: false, key, code, title: `${connectionLabel(key)} was not connected`, message, return_url };
}

/** The provider's own page said no. */
export function authorizationError(error: string, { client_source }: Pick<ClientBinding, 'client_source'>): string {
  if (error === 'access_denied') return 'The consent was declined at the identity provider. Nothing was changed.';
  const hint =
    REFUSES_CLIENT.has(error) && client_source === 'dynamic_registration'
      ? CLIENT_HINT.dynamic_registration
      : 'Check the client, its redirect URI and the scope at the provider, then click Connect again.';
  return `The identity provider refused the authorization request (${error}). ${hint}`;
}
