import { type ReactNode, useEffect, useRef } from 'react';

let pagesShown = 0;

type PageHeadingProps = { title: string; before?: ReactNode; after?: ReactNode; actions?: ReactNode };

/** Names the page in the tab; after a move inside the portal it takes the focus, as a fresh page would. */
export function PageHeading({ title, before, after, actions }: PageHeadingProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · MCP Data Platform`;
  }, [title]);
  useEffect(() => {
    // Not where something has the focus already: a field that asked for it, or a link that stays on the screen.
    if (pagesShown > 0 && document.activeElement === document.body) heading.current?.focus();
    return () => {
      pagesShown += 1;
    };
  }, []);
  return (
    <div className="mb-6 space-y-3">
      {before}
      <div className="flex flex-wrap items-start justify-between gap-4">
        <div className="min-w-0 space-y-1.5">
          <h1 ref={heading} tabIndex={-1} className="text-2xl font-semibold tracking-tight wrap-anywhere outline-none">
            {title}
          </h1>
          {after}
        </div>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
    </div>
  );
}
