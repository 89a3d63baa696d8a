import { AppError } from '../core/errors.ts';
import type { EgressError } from '../core/ports.ts';

const WHAT: Record<Exclude<EgressError['reason'], 'egress_refused'>, string> = {
  dns: 'its name does not resolve',
  connect: 'it does not accept connections',
  tls: 'no trusted TLS connection could be made',
  timeout: 'it did not answer in time',
  reset: 'the connection broke',
  aborted: 'the request was cancelled',
};

/** Of what may simply be repeated: an upstream that was too slow is seldom fast at once. */
const RETRY_AFTER_S = 5;

/**
 * What the network said, as a person can act on it.
 * @param label the connection, `mcp/github`
 * @param harmless whether the request changes nothing, so that it may be repeated even if it ran
 */
export function unreachable(egress: EgressError, label: string, harmless = false): AppError {
  if (egress.reason === 'egress_refused') {
    return new AppError('egress_refused', `The address of ${label} may not be reached from here: ${egress.message}`);
  }
  const perhaps = harmless
    ? 'The request changes nothing; try it again.'
    : 'The call may have been carried out; check before you repeat it.';
  const after = egress.phase === 'not_sent' ? 'Nothing was sent; try again later.' : perhaps;
  const text = `The upstream of ${label} cannot be reached: ${WHAT[egress.reason]}. ${after}`;
  if (egress.reason !== 'timeout') return new AppError('upstream_unreachable', text, { cause: egress });
  return new AppError('timeout', text, { cause: egress, ...(harmless ? { retry_after: RETRY_AFTER_S } : {}) });
}
