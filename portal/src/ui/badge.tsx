import type { LucideIcon } from 'lucide-react';
import { TONE_BOX, type Tone } from './tone.ts';

export function Badge({ tone, icon: Icon, children }: { tone: Tone; icon: LucideIcon; children: string }) {
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-full border px-2.5 py-0.5 text-xs font-medium whitespace-nowrap ${TONE_BOX[tone]}`}
    >
      <Icon size={13} aria-hidden />
      {children}
    </span>
  );
}
