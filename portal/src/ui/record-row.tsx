import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { Time } from './time.tsx';
import { TONE_BOX, type Tone } from './tone.ts';

type RecordRowProps = { tone: Tone; icon: LucideIcon; title: ReactNode; at: string; children?: ReactNode };

/** One line of what happened: an icon, what, when, and the rest in small below. */
export function RecordRow({ tone, icon: Icon, title, at, children, ...rest }: RecordRowProps) {
  return (
    <li className="flex gap-3.5 py-3" {...rest}>
      <span className={`mt-0.5 grid size-7 shrink-0 place-items-center rounded-full border ${TONE_BOX[tone]}`}>
        <Icon size={14} aria-hidden />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex items-baseline justify-between gap-x-4">
          <p className="min-w-0 text-sm font-medium wrap-anywhere">{title}</p>
          <p className="shrink-0 text-[0.8125rem] text-ink-soft">
            <Time iso={at} />
          </p>
        </div>
        {children && <p className="text-[0.8125rem] text-ink-soft wrap-anywhere">{children}</p>}
      </div>
    </li>
  );
}
