import type { Schedule } from './credential.ts';
import type { ProtocolSettings } from './settings.ts';
import type { Instant, TokenFacts } from './token-set.ts';

export type PolicyInput = {
  token: Pick<
    TokenFacts,
    'expires_at' | 'refresh_expires_at' | 'has_refresh_token' | 'received_at' | 'refresh_used_at'
  >;
  /** `oauth2_refresh_max_lifetime` in milliseconds; null: not configured. */
  refresh_max_lifetime: number | null;
  /**
   * The last refresh did not move the disclosed deadline: it is a wall clock from the consent. Refreshing for its sake
   * would only halve what is left, again and again, so it is a matter of the forecast.
   */
  wall_clock: boolean;
  settings: Pick<ProtocolSettings, 'access_lead' | 'refresh_lead'>;
  /** Right after a consent: one refresh, so that a grant that cannot be renewed is found while the person is there. */
  canary?: boolean;
  /** In [0, 1): moves the moment earlier by up to a tenth of the lead, so that connections made together drift apart. */
  jitter: number;
};

/** After the upstream's first sessions, and long before whoever connected has closed the page. */
export const CANARY_DELAY_MS = 3_000;

/** A provider that gives tokens of no length must not be asked in a tight loop. */
const MIN_PAUSE_MS = 1_000;

/** At most half of the lifetime: a fixed lead longer than the lifetime would refresh at every tick for ever. */
function moment(from: Instant, end: Instant, lead: number, jitter: number): Instant {
  const lifetime = Math.max(end - from, 0);
  const capped = Math.min(lead, lifetime / 2);
  return Math.floor(end - capped - capped * 0.1 * jitter);
}

/** When the access token is about to end: its end less its lead. null: it names no end. */
export function aboutToEnd(
  { received_at, expires_at }: Pick<TokenFacts, 'received_at' | 'expires_at'>,
  { access_lead }: Pick<ProtocolSettings, 'access_lead'>,
): Instant | null {
  return expires_at === null ? null : moment(received_at, expires_at, access_lead, 0);
}

/**
 * When this token is to be refreshed next, and why: the earliest of the access token's expiry, the disclosed refresh
 * deadline and the configured max lifetime, each less its lead.
 *
 * Unknown expiry is not expired: a token that discloses nothing and has no max lifetime is never refreshed ahead. One
 * without a refresh token cannot be refreshed, so the moment is that of its end, when the platform says so (the local
 * verdict of design §4); one that never ends has none.
 * @returns null when nothing is to be done
 */
export function nextRefresh({
  token,
  refresh_max_lifetime,
  wall_clock,
  canary,
  settings,
  jitter,
}: PolicyInput): Schedule {
  if (!token.has_refresh_token) {
    return token.expires_at === null ? null : { at: token.expires_at, reason: 'access_token_expiring' };
  }
  const candidates: NonNullable<Schedule>[] = [];
  const { access_lead, refresh_lead } = settings;
  if (token.expires_at !== null) {
    const at = moment(token.received_at, token.expires_at, access_lead, jitter);
    candidates.push({ at, reason: 'access_token_expiring' });
  }
  if (token.refresh_expires_at !== null && !wall_clock) {
    const at = moment(token.refresh_used_at, token.refresh_expires_at, refresh_lead, jitter);
    candidates.push({ at, reason: 'refresh_token_expiring' });
  }
  if (refresh_max_lifetime !== null) {
    const end = token.refresh_used_at + refresh_max_lifetime;
    candidates.push({ at: moment(token.refresh_used_at, end, refresh_lead, jitter), reason: 'max_lifetime' });
  }
  if (canary) candidates.push({ at: token.received_at + CANARY_DELAY_MS, reason: 'canary' });
  const first = candidates.reduce<Schedule>(
    (soonest, next) => (soonest && soonest.at <= next.at ? soonest : next),
    null,
  );
  return first && { ...first, at: Math.max(first.at, token.received_at + MIN_PAUSE_MS) };
}

/** What rounds to whole seconds on either side. */
const ROUNDING_MS = 1_000;

/**
 * Whether the disclosed deadline of the refresh token moves with its use. One that slides has moved about as far as time
 * has passed since the last use, a wall clock not at all; a slow answer and whole seconds blur both, so that two uses
 * close together say nothing, and what was known holds.
 */
export function deadlineFixed(
  before: Pick<TokenFacts, 'refresh_expires_at' | 'refresh_used_at' | 'refresh_deadline_fixed'> | null,
  after: { refresh_expires_at: Instant | null; received_at: Instant; sent_at: Instant },
): boolean {
  if (before === null || before.refresh_expires_at === null || after.refresh_expires_at === null) return false;
  const elapsed = after.received_at - before.refresh_used_at;
  const blur = ROUNDING_MS + Math.max(after.received_at - after.sent_at, 0);
  if (elapsed < 2 * blur) return before.refresh_deadline_fixed;
  return after.refresh_expires_at - before.refresh_expires_at < elapsed / 2;
}

/**
 * The pause before attempt `count + 1` after `count` failures in a row: doubling, with jitter over the upper half, and
 * never shorter than what the server asked for.
 */
export function backoff(
  count: number,
  settings: Pick<ProtocolSettings, 'backoff_min' | 'backoff_max'>,
  jitter: number,
  retryAfterSeconds: number | null,
): number {
  const ceiling = Math.min(settings.backoff_min * 2 ** Math.min(Math.max(count - 1, 0), 30), settings.backoff_max);
  const pause = ceiling / 2 + (ceiling / 2) * jitter;
  // A day at most: a server that asks for a year must not park a connection for ever.
  const asked = Math.min((retryAfterSeconds ?? 0) * 1000, 86_400_000);
  return Math.ceil(Math.max(pause, asked));
}
