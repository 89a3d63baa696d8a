import { Collapsible } from '@base-ui/react/collapsible';
import { ChevronDown } from 'lucide-react';
import type { ReactNode } from 'react';
import { useId } from 'react';

type FoldCardProps = { title: string; defaultOpen?: boolean; children: ReactNode };

/** A card that folds away; what is in it is not mounted, and asks for nothing, while it is folded. */
export function FoldCard({ title, defaultOpen = false, children }: FoldCardProps) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="rounded-xl border border-line bg-surface shadow-card">
      <Collapsible.Root defaultOpen={defaultOpen}>
        <h2 id={id} className="text-base font-semibold">
          <Collapsible.Trigger className="group flex w-full items-center justify-between gap-4 rounded-xl p-5 text-left sm:px-6">
            {title}
            <ChevronDown
              size={18}
              aria-hidden
              className="text-ink-soft transition-transform group-data-panel-open:rotate-180"
            />
          </Collapsible.Trigger>
        </h2>
        <Collapsible.Panel className="px-5 pb-5 sm:px-6">{children}</Collapsible.Panel>
      </Collapsible.Root>
    </section>
  );
}
