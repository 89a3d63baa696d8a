import {
  CircleAlert,
  CircleCheck,
  CircleSlash,
  CircleX,
  Hourglass,
  type LucideIcon,
  MessageCircleQuestionMark,
  ServerCrash,
  TriangleAlert,
  Unplug,
  UserRound,
} from 'lucide-react';
import type { CallOutcome, CallRecord } from '../api/wire.ts';
import { callMeasures, callTitle, OUTCOME_LABELS } from '../text/calls.ts';
import { actorLabel } from '../text/labels.ts';
import { RecordRow } from '../ui/record-row.tsx';

const ICONS: Record<CallOutcome, LucideIcon> = {
  ok: CircleCheck,
  tool_error: TriangleAlert,
  upstream_error: CircleAlert,
  input_required: MessageCircleQuestionMark,
  needs_person: UserRound,
  unavailable: Unplug,
  timeout: Hourglass,
  cancelled: CircleX,
  refused: CircleSlash,
  internal: ServerCrash,
};

export function CallRow({ call }: { call: CallRecord }) {
  const { label, tone, meaning } = OUTCOME_LABELS[call.outcome];
  return (
    <RecordRow
      tone={tone}
      icon={ICONS[call.outcome]}
      title={<span className="font-mono text-[0.8125rem]">{callTitle(call)}</span>}
      at={call.occurred_at}
      data-call={call.outcome}
    >
      <span title={meaning} className="font-medium text-ink">
        {label}
      </span>{' '}
      · <span title={call.actor}>{actorLabel(call.actor)}</span> · {callMeasures(call)}
    </RecordRow>
  );
}
