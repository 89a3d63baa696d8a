import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';
import { useEffect, useState } from 'react';
import { connectionQuery } from '../api/queries.ts';
import { ApiProblem, type Connection, type ConnectionKey } from '../api/wire.ts';
import { now } from '../clock.ts';
import { CallsPanel } from '../connection/calls-panel.tsx';
import { ConfigCard } from '../connection/config-card.tsx';
import { DeleteDialog } from '../connection/delete-dialog.tsx';
import { HistoryPanel } from '../connection/history-panel.tsx';
import { OAuthCard } from '../connection/oauth-card.tsx';
import { ConnectionBadges } from '../connection/state-badges.tsx';
import { TestPanel } from '../connection/test-panel.tsx';
import { ToolChangesPanel } from '../connection/tool-changes-panel.tsx';
import { UpstreamCard } from '../connection/upstream-card.tsx';
import { AUTH_MODE_LABELS, authModeOf, destinationText, kindLabel } from '../text/labels.ts';
import { localSentence } from '../text/time.ts';
import { LoadError, Loading } from '../ui/load-states.tsx';
import { Notice } from '../ui/notice.tsx';
import { PageHeading } from '../ui/page-heading.tsx';

const JUST_CONNECTED_MS = 15 * 60_000;

function BackLink() {
  return (
    <Link to="/connections" className="inline-flex items-center gap-1.5 rounded text-sm text-accent hover:underline">
      <ArrowLeft size={15} aria-hidden /> Connections
    </Link>
  );
}

function Heading({ connection }: { connection: Connection }) {
  const { kind, name, source, oauth } = connection;
  return (
    <PageHeading
      title={name}
      before={<BackLink />}
      after={
        <div className="space-y-2">
          <p className="text-sm text-ink-soft">
            {kindLabel(kind)} · {AUTH_MODE_LABELS[authModeOf(connection)].label}
            {source === 'file' && ' · from the configuration file'}
          </p>
          <p className="font-mono text-[0.8125rem] wrap-anywhere">{destinationText(connection)}</p>
          {!oauth && <ConnectionBadges connection={connection} />}
        </div>
      }
      actions={source === 'api' && <DeleteDialog connection={connection} />}
    />
  );
}

/** True once, after the consent; the address loses the mark at once, so that a reload does not say it again. */
function useReturnNotice(returned: boolean): [boolean, () => void] {
  const [shown, setShown] = useState(returned);
  const navigate = useNavigate();
  useEffect(() => {
    if (returned) void navigate({ to: '.', search: {}, replace: true });
  }, [returned, navigate]);
  return [shown, () => setShown(false)];
}

/** The mark in the address is a claim; the row has to bear it out (lesson 27). */
function justConnected({ oauth }: Connection): boolean {
  if (oauth?.state !== 'connected' || oauth.authenticated_at === null) return false;
  return Math.abs(now() - Date.parse(oauth.authenticated_at)) < JUST_CONNECTED_MS;
}

/** What was found out about the grant while the person is still there. */
function connectedWords({ oauth }: Connection): string {
  const worst = oauth?.findings.find(({ severity }) => severity === 'action');
  if (worst) return localSentence(worst.sentence);
  if (oauth?.renewal === 'testing') return 'A first refresh is made now, to prove that this grant can be renewed.';
  return 'The platform now keeps its token alive by itself; nobody has to be signed in.';
}

type ConnectionPageProps = { connectionKey: ConnectionKey; returned: boolean };

export function ConnectionPage({ connectionKey, returned }: ConnectionPageProps) {
  const { data: connection, error, isFetching, refetch } = useQuery(connectionQuery(connectionKey));
  const [returnShown, dismiss] = useReturnNotice(returned);
  const gone = error instanceof ApiProblem && error.status === 404;
  const current = gone ? undefined : connection;
  return (
    <>
      {current ? <Heading connection={current} /> : <PageHeading title={connectionKey.name} before={<BackLink />} />}
      <div className="space-y-5">
        {error && (
          <LoadError
            what="The connection"
            error={error}
            retry={() => void refetch()}
            retrying={isFetching}
            stale={current !== undefined}
          />
        )}
        {!current && !error && <Loading what="the connection" />}
        {current && (
          <>
            {returnShown && justConnected(current) && (
              <Notice
                tone={current.oauth?.needs_person ? 'warn' : 'good'}
                title={`${current.name} is connected`}
                onDismiss={dismiss}
              >
                {connectedWords(current)}
              </Notice>
            )}
            {current.oauth && <OAuthCard connectionKey={connectionKey} status={current.oauth} />}
            <UpstreamCard connection={current} />
            <TestPanel connectionKey={connectionKey} />
            <ConfigCard connection={current} />
          </>
        )}
        {(current || gone) && (
          <>
            <CallsPanel connectionKey={connectionKey} />
            <ToolChangesPanel connectionKey={connectionKey} />
          </>
        )}
        {(current?.oauth || gone) && <HistoryPanel connectionKey={connectionKey} />}
      </div>
    </>
  );
}
