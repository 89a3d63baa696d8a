import type { Credential, Intent } from './credential.ts';
import type { AttemptView } from './ports.ts';
import type { ProviderProfile } from './provider-profile.ts';
import { aboutToEnd } from './refresh-policy.ts';
import type { ProtocolSettings } from './settings.ts';
import type { Instant } from './token-set.ts';

export type PresentInput = {
  credential: Credential;
  intent_owner: AttemptView['intent_owner'];
  self: {
    replica_id: string;
    boot_id: bigint /** Attempts of this process that still listen for a reply. */;
    listening: ReadonlySet<string>;
  };
  profile: Pick<ProviderProfile, 'rotation' | 'honours_previous'> & Partial<Pick<ProviderProfile, 'grace_window'>>;
  settings: Pick<ProtocolSettings, 'lease' | 'listening_lease' | 'owner_wait' | 'access_lead'>;
  now: Instant;
};

export type PresentVerdict =
  | { may: true }
  /** Not before `until`; `why` is for the log and the status. */
  | { may: false; until: Instant; why: 'leased' | 'listening' | 'awaiting_owner' | 'awaiting_access_token_end' };

/** Whether presenting the token again cannot hurt: the server does not rotate, or still honours the previous token. */
function repeatIsHarmless(profile: PresentInput['profile'], age_ms: number): boolean {
  if (profile.rotation === 'none') return true;
  // Past its window the previous token is a reuse, and ends the family.
  return profile.honours_previous && age_ms <= (profile.grace_window ?? Number.POSITIVE_INFINITY);
}

/**
 * The owner resolves its own ambiguity (rule 14), not before the access token is about to end: until then the answer may
 * still turn up, and after that callers would go without a token.
 */
function ownerVerdict(intent: Intent, { credential, self, profile, settings, now }: PresentInput): PresentVerdict {
  if (self.listening.has(intent.attempt_id)) {
    return { may: false, until: now + Math.max(settings.listening_lease - intent.age_ms, 1_000), why: 'listening' };
  }
  // Without a disclosed expiry nothing is gained by waiting beyond the lease.
  const end = credential.token && aboutToEnd(credential.token, settings);
  if (repeatIsHarmless(profile, intent.age_ms) || end === null || end <= now) return { may: true };
  return { may: false, until: end, why: 'awaiting_access_token_end' };
}

/** Another replica needs proof that the owner no longer holds a successor (rule 15 a, c, d). */
function strangerVerdict(intent: Intent, input: PresentInput): PresentVerdict {
  const { credential, intent_owner, profile, settings, now } = input;
  if (profile.rotation === 'none') return { may: true };
  const drained = intent_owner?.drained_boot ?? null;
  if (drained !== null && drained > intent.boot_id) return { may: true };
  const unseen = intent_owner ? intent_owner.last_seen_age_ms : intent.age_ms;
  const wait = Math.max(settings.owner_wait - unseen, 0);
  const expiry = credential.token?.expires_at ?? now;
  const until = Math.max(now + wait, expiry);
  return until <= now ? { may: true } : { may: false, until, why: 'awaiting_owner' };
}

/**
 * Whether the stored refresh token may be presented now (protocol rules 7, 14, 15). An open intent means that its
 * outcome is unknown: the token may have been spent, and its successor may lie in somebody's escrow.
 */
export function mayPresent(input: PresentInput): PresentVerdict {
  const { credential, intent_owner, self, settings, now } = input;
  const { intent } = credential;
  if (intent === null) return { may: true };
  const own = intent.replica_id === self.replica_id;
  // An attempt of this very boot that no longer listens is over; any other process may still be listening.
  const bootOver = own && (intent.boot_id < self.boot_id || !self.listening.has(intent.attempt_id));
  const drained = intent_owner?.drained_boot ?? null;
  const listenerGone = bootOver || (drained !== null && drained > intent.boot_id);
  const lease = listenerGone ? settings.lease : settings.listening_lease;
  if (intent.age_ms < lease) return { may: false, until: now + (lease - intent.age_ms), why: 'leased' };
  return own ? ownerVerdict(intent, input) : strangerVerdict(intent, input);
}
