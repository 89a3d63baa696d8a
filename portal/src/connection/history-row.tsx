import {
  CircleCheck,
  CircleSlash,
  CircleX,
  DatabaseZap,
  LifeBuoy,
  LogIn,
  type LucideIcon,
  RefreshCw,
  ShieldX,
  Trash2,
  TriangleAlert,
  Unplug,
} from 'lucide-react';
import type { AuthEvent, AuthEventType } from '../api/wire.ts';
import { eventHint } from '../text/event-hint.ts';
import { actorLabel, EVENT_LABELS } from '../text/labels.ts';
import { Time } from '../ui/time.tsx';
import { TONE_BOX } from '../ui/tone.ts';

const ICONS: Record<AuthEventType, LucideIcon> = {
  connect_started: LogIn,
  connect_completed: CircleCheck,
  connect_failed: CircleX,
  refresh_succeeded: RefreshCw,
  refresh_failed_transient: TriangleAlert,
  refresh_failed_misconfigured: ShieldX,
  refresh_failed_revoked: CircleSlash,
  refresh_rotation_persistence_failed: DatabaseZap,
  rotation_recovered: LifeBuoy,
  token_deleted_revoked: Trash2,
  token_deleted_admin: Trash2,
  token_revoked_upstream: Unplug,
  token_revocation_failed: TriangleAlert,
};

export function HistoryRow({ event }: { event: AuthEvent }) {
  const { label, tone } = EVENT_LABELS[event.event_type];
  const Icon = ICONS[event.event_type];
  const hint = eventHint(event);
  return (
    <li className="flex gap-3.5 py-3" data-event={event.event_type}>
      <span className={`mt-0.5 grid size-7 shrink-0 place-items-center rounded-full border ${TONE_BOX[tone]}`}>
        <Icon size={14} aria-hidden />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-baseline justify-between gap-x-4">
          <p className="text-sm font-medium">{label}</p>
          <p className="text-[0.8125rem] text-ink-soft">
            <Time iso={event.occurred_at} />
          </p>
        </div>
        <p className="text-[0.8125rem] text-ink-soft wrap-anywhere">
          <span title={event.actor}>{actorLabel(event.actor)}</span>
          {hint && <> · {hint}</>}
        </p>
      </div>
    </li>
  );
}
