import { type ErrorClass, PROTOCOL_CODES, type RevocationReason } from './auth-event.ts';
import type { ProviderProfile } from './provider-profile.ts';
import type { TokenAnswer } from './token-response.ts';
import type { TokenSet } from './token-set.ts';

/** Words of their own that GitHub and Slack have for a client id or secret that is wrong. */
export const WRONG_CLIENT_CODES: readonly string[] = [
  'incorrect_client_credentials',
  'bad_client_secret',
  'invalid_client_id',
];

/**
 * Codes that speak about us, the client, and not about the grant: the token is kept (RFC 6749 §5.2). `invalid_grant`
 * is among the protocol's codes, and matched before these.
 */
const ABOUT_US: ReadonlySet<string> = new Set([...PROTOCOL_CODES, ...WRONG_CLIENT_CODES]);

/** What follows from an answer: one row of the table in design §4. */
export type RefreshOutcome =
  | { type: 'success'; token_set: TokenSet }
  | { type: 'revoked'; reason: RevocationReason; idp_error_code: string; http_status: number }
  | { type: 'misconfigured'; idp_error_code: string; http_status: number; retry_after: number | null }
  | {
      type: 'transient';
      /** False: provably not processed, or answered in the protocol's own terms. True: perhaps processed. */
      ambiguous: boolean;
      error_class: ErrorClass;
      idp_error_code: string | null;
      http_status: number | null;
      retry_after: number | null;
    };

export type OutcomeContext = {
  profile: Pick<ProviderProfile, 'dead_grant_codes'>;
  /** An earlier attempt's outcome is unknown: the token may have been spent by it (rule 17). */
  ambiguous_before: boolean;
  /** The disclosed or configured end of the refresh token had passed when it was presented. */
  deadline_passed: boolean;
};

function deadGrantReason(context: OutcomeContext): RevocationReason {
  if (context.ambiguous_before) return 'rotation_outcome_lost';
  return context.deadline_passed ? 'refresh_expired' : 'invalid_grant';
}

/**
 * Total over answers; the rows match top-down. Only a structured answer of the token endpoint can end a grant: a web
 * page with status 401 is a firewall's opinion (lesson 9).
 */
export function refreshOutcome(answer: TokenAnswer, context: OutcomeContext): RefreshOutcome {
  switch (answer.type) {
    case 'tokens':
      return { type: 'success', token_set: answer.token_set };
    case 'not_processed':
      return {
        type: 'transient',
        ambiguous: false,
        error_class: answer.error_class,
        idp_error_code: null,
        http_status: answer.status,
        retry_after: answer.retry_after,
      };
    case 'perhaps_processed':
      return {
        type: 'transient',
        ambiguous: true,
        error_class: answer.error_class,
        idp_error_code: null,
        http_status: answer.status,
        retry_after: answer.retry_after,
      };
    case 'error': {
      const { error, status, retry_after } = answer;
      if (error === 'invalid_grant' || context.profile.dead_grant_codes.includes(error)) {
        return { type: 'revoked', reason: deadGrantReason(context), idp_error_code: error, http_status: status };
      }
      if (ABOUT_US.has(error))
        return { type: 'misconfigured', idp_error_code: error, http_status: status, retry_after };
      return {
        type: 'transient',
        ambiguous: false,
        error_class: 'structured',
        idp_error_code: error,
        http_status: status,
        retry_after,
      };
    }
  }
}
