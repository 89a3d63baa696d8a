import { Lightbulb, TriangleAlert } from 'lucide-react';
import type { Finding } from '../api/wire.ts';
import { localSentence } from '../text/time.ts';

/** What will end a connection that works, and what would make it last; the worst first. */
export function Findings({ findings }: { findings: readonly Finding[] }) {
  if (findings.length === 0) return null;
  return (
    <ul className="space-y-2" aria-label="Findings">
      {findings.map(({ code, severity, sentence }) => {
        const Icon = severity === 'action' ? TriangleAlert : Lightbulb;
        return (
          <li key={code} data-finding={code} className="flex gap-2.5 text-sm">
            <Icon
              size={16}
              aria-hidden
              className={`mt-0.5 shrink-0 ${severity === 'action' ? 'text-warn' : 'text-ink-soft'}`}
            />
            <span className="min-w-0 wrap-anywhere">
              {severity === 'action' && <strong className="font-medium">Needs you: </strong>}
              {localSentence(sentence)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
