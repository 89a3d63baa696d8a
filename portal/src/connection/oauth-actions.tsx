import { useMutation } from '@tanstack/react-query';
import { KeyRound, LogIn, RefreshCw } from 'lucide-react';
import { api, problemMessage, refetchConnection } from '../api/queries.ts';
import { ApiProblem, type ConnectionKey, type OAuthStatus } from '../api/wire.ts';
import { refreshedWords } from '../text/outcomes.ts';
import { localSentence } from '../text/time.ts';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import { DisconnectDialog, type Disconnection } from './disconnect-dialog.tsx';

function returnPath({ kind, name }: ConnectionKey): string {
  return `/connections/${encodeURIComponent(kind)}/${encodeURIComponent(name)}`;
}

/** In the same tab: the identity provider sends the browser back to this page, which then has `connected=1`. */
function useConnect(key: ConnectionKey) {
  return useMutation({
    mutationFn: () => api.startConsent({ params: key, body: { return_url: returnPath(key) } }),
    onSuccess: ({ authorization_url }) => {
      window.location.assign(authorization_url);
    },
    onError: () => refetchConnection(key),
  });
}

function useRefreshNow(key: ConnectionKey) {
  return useMutation({
    mutationFn: () => api.reacquireOAuth({ params: key }),
    onSettled: () => refetchConnection(key),
  });
}

function useDisconnect(key: ConnectionKey): Disconnection {
  return useMutation({
    mutationFn: () => api.disconnectOAuth({ params: key }),
    onSettled: () => refetchConnection(key),
  });
}

/** What became of the token at its server: somebody may have to remove the grant there by hand. */
function DisconnectOutcome({ disconnection }: { disconnection: Disconnection }) {
  if (!disconnection.data) return null;
  const { upstream, message } = disconnection.data;
  const ended = upstream === 'revoked' || upstream === 'nothing';
  return (
    <Notice tone={ended ? 'good' : 'warn'} title="Disconnected" onDismiss={() => disconnection.reset()}>
      {localSentence(message)}
    </Notice>
  );
}

function RefreshOutcome({ refresh }: { refresh: ReturnType<typeof useRefreshNow> }) {
  const dismiss = () => refresh.reset();
  if (refresh.data) {
    return (
      <Notice tone="good" title={refreshedWords(refresh.data.outcome)} onDismiss={dismiss}>
        {localSentence(refresh.data.status.summary)}
      </Notice>
    );
  }
  if (refresh.error) {
    const waiting = refresh.error instanceof ApiProblem && refresh.error.status === 503;
    return (
      <Notice
        tone={waiting ? 'warn' : 'bad'}
        title={waiting ? 'Not refreshed yet' : 'Not refreshed'}
        onDismiss={dismiss}
      >
        {problemMessage(refresh.error)}
      </Notice>
    );
  }
  return null;
}

/** How a connection comes by its first token: a person signs in, or nobody needs to. */
function FirstToken(props: {
  status: OAuthStatus;
  asking: boolean;
  leaving: boolean;
  onAsk: () => void;
  onConnect: () => void;
}) {
  const { status } = props;
  if (status.grant === 'client_credentials') {
    if (!status.needs_reauth) return null;
    return (
      <Button look="primary" icon={<KeyRound size={16} aria-hidden />} busy={props.asking} onClick={props.onAsk}>
        Get a token
      </Button>
    );
  }
  return (
    <Button
      look={status.needs_reauth ? 'primary' : 'plain'}
      icon={<LogIn size={16} aria-hidden />}
      busy={props.leaving}
      onClick={props.onConnect}
    >
      {status.state === 'never_connected' ? 'Connect' : 'Reconnect'}
    </Button>
  );
}

export function OAuthActions({ connectionKey, status }: { connectionKey: ConnectionKey; status: OAuthStatus }) {
  const connect = useConnect(connectionKey);
  const refresh = useRefreshNow(connectionKey);
  const disconnection = useDisconnect(connectionKey);
  const leaving = connect.isPending || connect.isSuccess;
  return (
    <div className="space-y-4">
      <div className="flex flex-wrap gap-2">
        <FirstToken
          status={status}
          asking={refresh.isPending}
          leaving={leaving}
          onAsk={() => {
            disconnection.reset();
            refresh.mutate();
          }}
          onConnect={() => {
            refresh.reset();
            disconnection.reset();
            connect.mutate();
          }}
        />
        {status.state === 'connected' && (
          <Button
            icon={<RefreshCw size={16} aria-hidden />}
            busy={refresh.isPending}
            disabled={leaving}
            onClick={() => {
              connect.reset();
              refresh.mutate();
            }}
          >
            Refresh now
          </Button>
        )}
        {status.state === 'connected' && (
          <DisconnectDialog
            name={connectionKey.name}
            status={status}
            disabled={leaving}
            disconnection={disconnection}
          />
        )}
      </div>
      {connect.error && (
        <Notice tone="bad" title="The sign-in could not be started" onDismiss={() => connect.reset()}>
          {problemMessage(connect.error)}
        </Notice>
      )}
      <RefreshOutcome refresh={refresh} />
      <DisconnectOutcome disconnection={disconnection} />
    </div>
  );
}
