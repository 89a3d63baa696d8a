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
import { RecordRow } from '../ui/record-row.tsx';

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
  const hint = eventHint(event);
  return (
    <RecordRow
      tone={tone}
      icon={ICONS[event.event_type]}
      title={label}
      at={event.occurred_at}
      data-event={event.event_type}
    >
      <span title={event.actor}>{actorLabel(event.actor)}</span>
      {hint && <> · {hint}</>}
    </RecordRow>
  );
}
