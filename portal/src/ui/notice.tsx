import { CircleAlert, CircleCheck, Info, type LucideIcon, TriangleAlert, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { TONE_BOX, type Tone } from './tone.ts';

const ICON: Record<Tone, LucideIcon> = {
  good: CircleCheck,
  warn: TriangleAlert,
  bad: CircleAlert,
  info: Info,
  neutral: Info,
};

type NoticeProps = { tone: Tone; title?: string; children?: ReactNode; onDismiss?: () => void };

export function Notice({ tone, title, children, onDismiss }: NoticeProps) {
  const Icon = ICON[tone];
  return (
    <div
      role={tone === 'bad' ? 'alert' : 'status'}
      className={`flex items-start gap-3 rounded-lg border px-4 py-3 text-sm ${TONE_BOX[tone]}`}
    >
      <Icon size={18} aria-hidden className="mt-0.5 shrink-0" />
      <div className="min-w-0 flex-1 space-y-1 wrap-anywhere">
        {title && <p className="font-semibold">{title}</p>}
        {children && <div className="text-ink">{children}</div>}
      </div>
      {onDismiss && (
        <button
          type="button"
          onClick={onDismiss}
          aria-label="Dismiss"
          className="-m-1.5 rounded-md p-1.5 hover:bg-surface/60"
        >
          <X size={16} aria-hidden />
        </button>
      )}
    </div>
  );
}
