import { Link } from '@tanstack/react-router';
import { FileCog } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Connection, OAuthStatus } from '../api/wire.ts';
import { AUTH_MODE_LABELS, authModeOf, destinationText, kindLabel, summaryText } from '../text/labels.ts';
import { localSentence } from '../text/time.ts';
import { upstreamAlarm } from '../text/upstream.ts';
import { Time } from '../ui/time.tsx';
import { ConnectionBadges, UpstreamBadge } from './state-badges.tsx';

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div className="flex gap-1.5">
      <dt className="text-ink-soft">{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function TokenFacts({ oauth }: { oauth: OAuthStatus }) {
  const facts = [
    ['Lives until', oauth.forecast.lives_until],
    ['Refreshed', oauth.last_refreshed_at],
    ['Next', oauth.next_refresh_at],
  ] as const;
  if (facts.every(([, iso]) => iso === null)) return null;
  return (
    <dl className="relative z-[1] flex w-fit flex-wrap gap-x-5 gap-y-1 text-[0.8125rem]">
      {facts.map(
        ([term, iso]) =>
          iso && (
            <Fact key={term} term={term}>
              <Time iso={iso} />
            </Fact>
          ),
      )}
    </dl>
  );
}

export function ConnectionRow({ connection }: { connection: Connection }) {
  const { kind, name, oauth } = connection;
  const alarm = upstreamAlarm(connection);
  const worst = oauth?.health === 'ok' ? oauth.findings.find(({ severity }) => severity === 'action') : undefined;
  return (
    <li className="relative grid gap-x-8 gap-y-3 px-5 py-5 transition-colors hover:bg-sunken sm:px-6 lg:grid-cols-[minmax(0,5fr)_minmax(0,6fr)]">
      <div className="min-w-0 space-y-1">
        <p className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          {/* The link's box covers the row, so that the row is one target and still one link. */}
          <Link
            to="/connections/$kind/$name"
            params={{ kind, name }}
            className="min-w-0 rounded font-semibold wrap-anywhere after:absolute after:inset-0 after:content-['']"
          >
            {name}
          </Link>
          <span className="text-sm text-ink-soft">
            {kindLabel(kind)} · {AUTH_MODE_LABELS[authModeOf(connection)].label}
          </span>
          {connection.source === 'file' && (
            <span className="inline-flex items-center gap-1 text-sm text-ink-soft">
              <FileCog size={14} aria-hidden /> from the file
            </span>
          )}
        </p>
        <p className="truncate font-mono text-[0.8125rem] text-ink-soft" title={destinationText(connection)}>
          {destinationText(connection)}
        </p>
        {connection.description && (
          <p className="line-clamp-2 text-sm text-ink-soft wrap-anywhere">{connection.description}</p>
        )}
      </div>
      <div className="min-w-0 space-y-2">
        <span className="flex flex-wrap gap-1.5">
          <ConnectionBadges connection={connection} />
          {alarm && <UpstreamBadge standing={alarm} />}
        </span>
        <p className="text-sm wrap-anywhere">{localSentence(summaryText(connection))}</p>
        {worst && <p className="text-sm text-warn wrap-anywhere">{localSentence(worst.sentence)}</p>}
        {oauth && <TokenFacts oauth={oauth} />}
      </div>
    </li>
  );
}
