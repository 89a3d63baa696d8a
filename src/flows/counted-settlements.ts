import type { CredentialStore, Metrics } from '../core/ports.ts';

/** The same store; what a settlement has committed is counted by its events, so that metrics and history agree. */
export function countedSettlements(credentials: CredentialStore, metrics: Metrics): CredentialStore {
  return {
    ...credentials,
    async settle(settlement) {
      const result = await credentials.settle(settlement);
      if (result.applied)
        for (const { event_type } of settlement.events) metrics.tokenChanged(settlement.key, event_type);
      return result;
    },
  };
}
