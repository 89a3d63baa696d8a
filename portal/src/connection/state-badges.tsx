import {
  CalendarClock,
  CircleAlert,
  CircleCheck,
  CircleDashed,
  FileWarning,
  KeyRound,
  type LucideIcon,
  ShieldX,
  TimerOff,
  TriangleAlert,
  Unplug,
} from 'lucide-react';
import type { Connection, CredentialState, Health } from '../api/wire.ts';
import { AUTH_MODE_LABELS, authModeOf, HEALTH_LABELS, STATE_LABELS } from '../text/labels.ts';
import type { Standing } from '../text/upstream.ts';
import { Badge } from '../ui/badge.tsx';
import type { Tone } from '../ui/tone.ts';

const STATE_ICONS: Record<CredentialState, LucideIcon> = {
  never_connected: CircleDashed,
  connected: CircleCheck,
  revoked: Unplug,
};

const HEALTH_ICONS: Record<Health, LucideIcon> = {
  ok: CircleCheck,
  refresh_failing: TriangleAlert,
  client_misconfigured: ShieldX,
  access_token_expired: TimerOff,
  configuration_invalid: FileWarning,
  reconnect_soon: CalendarClock,
};

const UPSTREAM_ICONS: Record<Tone, LucideIcon> = {
  good: CircleCheck,
  warn: TriangleAlert,
  bad: CircleAlert,
  info: CircleDashed,
  neutral: CircleDashed,
};

export function UpstreamBadge({ standing: { label, tone } }: { standing: Standing }) {
  return (
    <Badge tone={tone} icon={UPSTREAM_ICONS[tone]}>
      {label}
    </Badge>
  );
}

export function StateBadge({ state }: { state: CredentialState }) {
  const { label, tone } = STATE_LABELS[state];
  return (
    <Badge tone={tone} icon={STATE_ICONS[state]}>
      {label}
    </Badge>
  );
}

export function HealthBadge({ health }: { health: Health }) {
  const { label, tone } = HEALTH_LABELS[health];
  return (
    <Badge tone={tone} icon={HEALTH_ICONS[health]}>
      {label}
    </Badge>
  );
}

/** State and, beside it, its health; health that is fine goes without saying. */
export function ConnectionBadges({ connection }: { connection: Connection }) {
  const { oauth, issues } = connection;
  if (oauth) {
    return (
      <span className="flex flex-wrap gap-1.5">
        <StateBadge state={oauth.state} />
        {oauth.health !== 'ok' && <HealthBadge health={oauth.health} />}
      </span>
    );
  }
  if (issues.length > 0) return <HealthBadge health="configuration_invalid" />;
  const mode = authModeOf(connection);
  return (
    <Badge tone="neutral" icon={KeyRound}>
      {AUTH_MODE_LABELS[mode].label}
    </Badge>
  );
}
