import type { UseMutationResult } from '@tanstack/react-query';
import { Unplug } from 'lucide-react';
import { problemMessage } from '../api/queries.ts';
import type { ClientOutput, OAuthStatus } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { ConfirmDialog } from '../ui/confirm-dialog.tsx';

export type Disconnection = UseMutationResult<ClientOutput<'disconnectOAuth'>, Error, void>;

/** The person who signed in may be gone: what it takes to come back is said before the token is. */
export function DisconnectDialog(props: {
  name: string;
  status: OAuthStatus;
  disabled: boolean;
  disconnection: Disconnection;
}) {
  const { name, status, disconnection } = props;
  return (
    <ConfirmDialog
      trigger={
        <Button look="dangerPlain" icon={<Unplug size={16} aria-hidden />} disabled={props.disabled}>
          Disconnect
        </Button>
      }
      title={`Disconnect ${name}?`}
      consequences={[
        `Its token is deleted here and revoked at ${status.idp_host ?? 'the identity provider'}, where that is offered.`,
        status.grant === 'client_credentials'
          ? 'Calls of its tools fail until somebody gets a new token here.'
          : 'Calls of its tools fail until somebody signs in again.',
        'Its configuration and its history stay.',
      ]}
      keep="Keep it connected"
      confirm="Disconnect now"
      busy={disconnection.isPending}
      failure={disconnection.error && { title: 'Not disconnected', text: problemMessage(disconnection.error) }}
      onOpen={() => disconnection.reset()}
      onConfirm={() => disconnection.mutateAsync()}
    />
  );
}
