import type { AuthEvent, RevocationReason } from '../../src/core/auth-event.ts';
import type { Credential } from '../../src/core/credential.ts';

/** What the history says of a connection: everything on the card but the times. */
export type Told = {
  state: Credential['state'];
  fingerprint: string | null;
  generation: string | null;
  reason: string | null;
  decided_by: string | null;
  failures: number;
  /** Whether a refusal is held. */
  held: boolean;
  failure: { type: 'transient' | 'misconfigured'; idp_error_code: string | null } | null;
  /** Whether some attempt since the last token has an unknown outcome. */
  ambiguous: boolean;
};

export const NOTHING_TOLD: Told = {
  state: 'never_connected',
  fingerprint: null,
  generation: null,
  reason: null,
  decided_by: null,
  failures: 0,
  held: false,
  failure: null,
  ambiguous: false,
};

/** One event more of the history of one connection. Total: what is not named here changes no state. */
export function fold(told: Told, { event_type, detail }: AuthEvent): Told {
  const generation = detail.generation ?? told.generation;
  switch (event_type) {
    case 'connect_completed':
    case 'refresh_succeeded':
    case 'rotation_recovered':
      return {
        ...NOTHING_TOLD,
        state: 'connected',
        generation,
        fingerprint: detail.refresh_token_fingerprint ?? null,
      };
    case 'refresh_failed_transient':
    case 'refresh_failed_misconfigured':
      return {
        ...told,
        failures: told.failures + 1,
        held: told.held || detail.held === true,
        failure: {
          type: event_type === 'refresh_failed_misconfigured' ? 'misconfigured' : 'transient',
          idp_error_code: detail.idp_error_code ?? null,
        },
        ambiguous: told.ambiguous || detail.ambiguous === true,
      };
    case 'token_deleted_revoked':
    case 'token_deleted_admin':
      if (detail.reason === ('connection_deleted' satisfies RevocationReason)) return NOTHING_TOLD;
      return {
        ...NOTHING_TOLD,
        state: 'revoked',
        generation,
        reason: detail.reason ?? null,
        decided_by: detail.decided_by ?? null,
      };
    default:
      return told;
  }
}

/** How the row contradicts its history; undefined: not at all. */
export function contradiction(told: Told, row: Credential): string | undefined {
  const { state, token, revocation, failure } = row;
  const pairs: Record<string, [unknown, unknown]> = {
    state: [told.state, state],
    fingerprint: [told.fingerprint, state === 'connected' ? (token?.refresh_token_fingerprint ?? null) : null],
    reason: [told.reason, state === 'revoked' ? (revocation?.reason ?? null) : null],
    decided_by: [told.decided_by, state === 'revoked' ? (revocation?.decided_by ?? null) : null],
    failures: [told.failures, failure?.count ?? 0],
    held: [told.held, failure?.held_since !== undefined],
    failure: [told.failure?.type, failure?.type],
    idp_error_code: [told.failure?.idp_error_code ?? null, failure?.idp_error_code ?? null],
  };
  if (told.state !== 'never_connected') pairs.generation = [told.generation, row.generation.toString()];
  // A claim over an open intent sets the flag an instant before the event says so: only the other way is a lie.
  if (told.ambiguous) pairs.ambiguous = [true, row.ambiguous];
  const wrong = Object.entries(pairs).find(([, [history, present]]) => history !== present);
  return wrong && `${wrong[0]} is ${String(wrong[1][1])} on the row and ${String(wrong[1][0])} by the history`;
}
