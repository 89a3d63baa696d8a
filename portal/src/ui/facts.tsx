import type { ReactNode } from 'react';
import { Time } from './time.tsx';

export function Facts({ children }: { children: ReactNode }) {
  return <dl className="grid grid-cols-2 gap-x-6 gap-y-3.5 lg:grid-cols-3">{children}</dl>;
}

export function Fact({ term, children, wide = false }: { term: string; children: ReactNode; wide?: boolean }) {
  return (
    <div className={`min-w-0 border-t border-line pt-3 ${wide ? 'col-span-2 lg:col-span-3' : ''}`}>
      <dt className="text-[0.8125rem] text-ink-soft">{term}</dt>
      <dd className="mt-0.5 text-sm wrap-anywhere">{children}</dd>
    </div>
  );
}

export const Soft = ({ children }: { children: ReactNode }) => <span className="text-ink-soft">{children}</span>;

export function TimeOr({ iso, otherwise }: { iso: string | null; otherwise: string }) {
  return iso === null ? <Soft>{otherwise}</Soft> : <Time iso={iso} />;
}
