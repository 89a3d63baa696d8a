import { useQuery } from '@tanstack/react-query';
import { KeyRound, LogIn, TerminalSquare } from 'lucide-react';
import { useEffect } from 'react';
import { api, queryClient } from '../api/queries.ts';
import { regainSession } from '../api/session.ts';
import { ApiProblem } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { CONTROL, Field } from '../ui/field.tsx';
import { PageHeading } from '../ui/page-heading.tsx';

/** Whoever opened the link in another tab is signed in here too, as soon as this tab has the focus again. */
function useSignedInElsewhere(then: () => void): void {
  const probe = useQuery({
    queryKey: ['sign-in-probe'],
    queryFn: async ({ signal }) => {
      try {
        await api.getSession({ signal });
        return true;
      } catch (error) {
        if (error instanceof ApiProblem) return false;
        throw error;
      }
    },
    refetchOnWindowFocus: 'always',
    staleTime: 0,
    gcTime: 0,
  });
  const signedIn = probe.data === true && !probe.isFetching;
  useEffect(() => {
    if (signedIn) then();
  }, [signedIn, then]);
}

function comeBack(): void {
  // Nothing that was read under another session may be shown under this one.
  queryClient.removeQueries();
  regainSession();
}

const LINK_COMMAND = 'mcp-data-platform link';

/** The form is the server's: it answers with the page to return to, or with a page of its own that says what is wrong. */
export function SignInPage({ returnTo }: { returnTo: string }) {
  useSignedInElsewhere(comeBack);
  return (
    <div className="mx-auto max-w-md sm:py-6">
      <PageHeading title="Sign-in needed" />
      <p className="mb-6 text-ink-soft">
        You are not signed in, or your session has ended. Afterwards you come back to the page you were on.
      </p>
      <div className="divide-y divide-line rounded-xl border border-line bg-surface shadow-card">
        <section className="space-y-3 p-6" aria-labelledby="by-link">
          <h2 id="by-link" className="flex items-center gap-2.5 font-semibold">
            <TerminalSquare size={18} aria-hidden className="text-ink-soft" />
            With a one-time link
          </h2>
          <p className="text-sm text-ink-soft">On the machine where the server runs, ask for a link and open it:</p>
          <pre className="overflow-x-auto rounded-lg border border-line bg-sunken px-3.5 py-2.5 font-mono text-sm select-all">
            {LINK_COMMAND}
          </pre>
        </section>
        <section className="p-6" aria-labelledby="by-key">
          <h2 id="by-key" className="flex items-center gap-2.5 font-semibold">
            <KeyRound size={18} aria-hidden className="text-ink-soft" />
            With an admin key
          </h2>
          <form method="post" action="/sign-in" className="mt-4 space-y-4">
            <input type="hidden" name="return_to" value={returnTo} />
            <Field label="Admin key">
              {(control) => (
                <input
                  {...control}
                  name="key"
                  type="password"
                  autoComplete="current-password"
                  required
                  className={CONTROL}
                />
              )}
            </Field>
            <Button type="submit" look="primary" icon={<LogIn size={16} aria-hidden />}>
              Sign in
            </Button>
          </form>
        </section>
      </div>
    </div>
  );
}
