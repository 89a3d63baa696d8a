import type { ConnectionConfig } from '../core/connection.ts';
import { type Credential, isClientCredentials, type Schedule } from '../core/credential.ts';
import type {
  Clock,
  CredentialStore,
  EscrowEntry,
  Fingerprint,
  IncidentStore,
  Log,
  Notifier,
  Random,
} from '../core/ports.ts';
import { connectionProfile, refreshMaxLifetime } from '../core/provider-profile.ts';
import type { RefreshOutcome } from '../core/refresh-outcome.ts';
import { backoff, deadlineFixed, nextRefresh } from '../core/refresh-policy.ts';
import type { ProtocolSettings } from '../core/settings.ts';
import type { TokenSet } from '../core/token-set.ts';

export type SettleDeps = {
  credentials: Pick<CredentialStore, 'settle' | 'read'>;
  incidents: IncidentStore;
  notifier: Notifier;
  fingerprint: Fingerprint;
  clock: Clock;
  random: Random;
  log: Log;
  settings: ProtocolSettings;
};

/** One reply on its way to the row. */
export type Context = {
  deps: SettleDeps;
  entry: EscrowEntry;
  config: ConnectionConfig | null;
  replayed: boolean;
  /** The row as it was read before the settlement. */
  credential: Credential | undefined;
};

export const profileOf = ({ config, entry }: Context) => connectionProfile(config, entry.binding.token_endpoint);

export function tokenFingerprint({ deps, entry }: Context, tokenSet: TokenSet): string | null {
  const token = tokenSet.refresh_token ?? entry.presented_refresh_token;
  return token ? deps.fingerprint(token) : null;
}

/** When the refresh token ends, as the row will say it: a token that is kept keeps the deadline told with it. */
export function deadlineOf(
  context: Context,
  tokenSet: TokenSet,
): { refresh_expires_at: number | null; fixed: boolean } {
  const { entry, credential } = context;
  const kept = tokenFingerprint(context, tokenSet) === entry.before.refresh_token_fingerprint;
  const refresh_expires_at = tokenSet.refresh_expires_at ?? (kept ? entry.before.refresh_expires_at : null);
  const { received_at } = tokenSet;
  const now = { refresh_expires_at, received_at, sent_at: entry.sent_at };
  return { refresh_expires_at, fixed: deadlineFixed(credential?.token ?? null, now) };
}

/** When the tokens just received are due next. */
export function scheduleOf(context: Context, tokenSet: TokenSet): Schedule {
  const { deps, entry, config } = context;
  const { refresh_expires_at, fixed } = deadlineOf(context, tokenSet);
  const profile = profileOf(context);
  const connecting = entry.purpose === 'connect';
  const renewsItself = isClientCredentials(entry.binding);
  return nextRefresh({
    token: {
      expires_at: tokenSet.expires_at,
      refresh_expires_at,
      has_refresh_token: renewsItself || (tokenSet.refresh_token ?? entry.presented_refresh_token) !== null,
      received_at: tokenSet.received_at,
      refresh_used_at: tokenSet.received_at,
    },
    wall_clock: !connecting && fixed,
    refresh_max_lifetime: renewsItself ? null : refreshMaxLifetime(config, profile, refresh_expires_at),
    canary: connecting && profile.refresh_canary && !renewsItself,
    settings: deps.settings,
    jitter: deps.random.fraction(),
  });
}

/** Disclosed, configured or documented: a belief, which only names the reason once the provider has refused. */
export function deadlinePassed(context: Context): boolean {
  const { entry, config, credential } = context;
  const { refresh_expires_at } = entry.before;
  const profile = profileOf(context);
  const used_at = credential?.token?.refresh_used_at;
  const life = refreshMaxLifetime(config, profile, refresh_expires_at);
  const consent = credential?.token?.authenticated_at ?? null;
  const ends = [
    refresh_expires_at,
    used_at === undefined || life === null ? null : used_at + life,
    consent === null || profile.refresh_absolute_lifetime === null ? null : consent + profile.refresh_absolute_lifetime,
  ];
  return ends.some((end) => end !== null && end <= entry.sent_at);
}

/** How long a failed attempt waits. While an incident is open, who fails is asked again by its probes, one at a time. */
export function pauseAfter(
  { deps }: Context,
  outcome: Exclude<RefreshOutcome, { type: 'success' }>,
  count: number,
  incident: string | null,
): number {
  const { settings, random } = deps;
  const retry_after = outcome.type === 'revoked' ? null : outcome.retry_after;
  const pause = backoff(incident ? 1 : count, settings, random.fraction(), retry_after);
  if (incident) return Math.max(pause, settings.incident_probe);
  return outcome.type === 'misconfigured' ? Math.max(pause, settings.misconfigured_backoff) : pause;
}
