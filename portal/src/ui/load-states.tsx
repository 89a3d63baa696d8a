import { problemMessage } from '../api/queries.ts';
import { Button } from './button.tsx';
import { Notice } from './notice.tsx';

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="space-y-3 py-2">
      <span className="sr-only">Loading {what}…</span>
      <div aria-hidden className="h-5 w-2/5 motion-safe:animate-pulse rounded bg-line" />
      <div aria-hidden className="h-5 w-4/5 motion-safe:animate-pulse rounded bg-line" />
      <div aria-hidden className="h-5 w-3/5 motion-safe:animate-pulse rounded bg-line" />
    </div>
  );
}

type LoadErrorProps = { what: string; error: unknown; retry: () => void; retrying: boolean; stale?: boolean };

/** A failed load is never an empty list: it says what could not be loaded, and whether what is shown is old. */
export function LoadError({ what, error, retry, retrying, stale = false }: LoadErrorProps) {
  return (
    <Notice
      tone={stale ? 'warn' : 'bad'}
      title={stale ? `${what} could not be refreshed; what you see may be out of date` : `${what} could not be loaded`}
    >
      <p>{problemMessage(error)}</p>
      <Button className="mt-2" onClick={retry} busy={retrying}>
        Try again
      </Button>
    </Notice>
  );
}
