import { type AuthEventDetail, REFUSES_CLIENT } from '../core/auth-event.ts';
import { refusedClientAdvice } from '../core/client-check.ts';
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

/** The first token of a connection was asked for: of whom, in which words, and what to do if it does not come. */
export type Asked = {
  host: string;
  /** «host refused *the exchange of the code*». */
  asked: string;
  again: string;
  refusedHint(idp_error_code: string): string;
};

/** With the code that a person has brought back from the provider. */
export function askedByPerson(host: string, client_source: ClientBinding['client_source']): Asked {
  return {
    host,
    asked: 'the exchange of the code for a token',
    again: 'Click Connect again',
    refusedHint: (code) =>
      REFUSES_CLIENT.has(code)
        ? refusedClientAdvice(client_source)
        : 'Click Connect again; if it repeats, check the client and scope at the provider.',
  };
}

/**
 * Why no first token came, for a person and for the history.
 * @param settled undefined: it came, and could not be stored yet
 */
export function exchangeFailure(
  settled: Settled | 'late' | undefined,
  { host, asked, again, refusedHint }: Asked,
): { code: string; message: string; detail: AuthEventDetail } {
  if (settled === 'late') {
    return {
      code: 'timeout',
      message: `${host} was asked for ${asked} and has not answered in time. If it still does, the connection is made; else: ${again}.`,
      detail: { step: 'token_exchange', error_class: 'timeout' },
    };
  }
  if (!settled) {
    return {
      code: 'stored_later',
      message: `${host} gave a token, but the database cannot be reached. The token is safe on this server and is stored as soon as the database is back.`,
      detail: { step: 'store' },
    };
  }
  const { outcome } = settled;
  if (outcome.type === 'success') {
    return {
      code: 'superseded',
      message:
        'Meanwhile this connection was changed, disconnected or connected anew, so this answer was not used. Open it to see how it stands now.',
      detail: { step: 'superseded' },
    };
  }
  const { idp_error_code } = outcome;
  if (idp_error_code === null) {
    const error_class = outcome.type === 'transient' ? outcome.error_class : 'structured';
    return {
      code: error_class,
      message: `${host} was asked for ${asked} and gave no readable answer (${error_class}). ${again}.`,
      detail: { step: 'token_exchange', error_class },
    };
  }
  return {
    code: idp_error_code,
    message: `${host} refused ${asked} (${idp_error_code}). ${refusedHint(idp_error_code)}`,
    detail: { step: 'token_exchange', idp_error_code },
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
      ? refusedClientAdvice(client_source)
      : 'Check the client, its redirect URI and the scope at the provider, then click Connect again.';
  return `The identity provider refused the authorization request (${error}). ${hint}`;
}
