import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { LogOut } from 'lucide-react';
import { api, queryClient, sessionQuery } from './api/queries.ts';
import { loseSession, useSessionLost } from './api/session.ts';
import { SignInPage } from './pages/sign-in-page.tsx';
import { ThemeToggle } from './theme-toggle.tsx';

function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className="size-7 shrink-0">
      <rect width="32" height="32" rx="8" fill="#1d4f91" />
      <path d="M9 10v4a4 4 0 0 0 4 4h6a4 4 0 0 1 4 4" fill="none" stroke="#fff" strokeWidth="2.4" />
      <circle cx="9" cy="9" r="3" fill="#fff" />
      <circle cx="23" cy="23" r="3" fill="#8fd3b6" />
    </svg>
  );
}

async function signOut(): Promise<void> {
  try {
    await api.signOut();
  } finally {
    queryClient.clear();
    loseSession();
  }
}

function Account() {
  const session = useQuery(sessionQuery);
  if (!session.data) return null;
  return (
    <div className="flex min-w-0 items-center gap-1">
      <span className="hidden max-w-60 truncate text-sm text-ink-soft sm:block" title={session.data.actor}>
        {session.data.actor}
      </span>
      <button
        type="button"
        aria-label="Sign out"
        title="Sign out"
        onClick={() => void signOut()}
        className="grid size-9 place-items-center rounded-lg text-ink-soft hover:bg-sunken hover:text-ink"
      >
        <LogOut size={17} aria-hidden />
      </button>
    </div>
  );
}

export function Layout() {
  const lost = useSessionLost();
  const { href } = useLocation();
  return (
    <>
      <a
        href="#content"
        className="absolute -top-20 left-4 z-10 rounded-lg bg-accent px-4 py-2 text-on-accent focus:top-3"
      >
        Skip to the content
      </a>
      <header className="border-b border-line bg-surface">
        <div className="mx-auto flex h-16 max-w-6xl items-center justify-between gap-4 px-4 sm:px-6">
          <Link to="/connections" className="flex min-w-0 items-center gap-3 rounded-lg font-semibold">
            <Mark />
            <span className="truncate">MCP Data Platform</span>
          </Link>
          <div className="flex shrink-0 items-center gap-3">
            {!lost && <Account />}
            <ThemeToggle />
          </div>
        </div>
      </header>
      <main id="content" tabIndex={-1} className="mx-auto max-w-6xl px-4 py-8 outline-none sm:px-6 sm:py-10">
        {lost ? <SignInPage returnTo={href} /> : <Outlet />}
      </main>
    </>
  );
}
