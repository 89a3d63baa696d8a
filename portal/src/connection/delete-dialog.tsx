import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Trash2 } from 'lucide-react';
import { api, connectionsQuery, problemMessage, queryClient } from '../api/queries.ts';
import type { Connection } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { ConfirmDialog } from '../ui/confirm-dialog.tsx';

function losses({ name, oauth, config }: Connection): string[] {
  return [
    `The tools named ${name}__… disappear for every agent.`,
    ...(oauth?.state === 'connected'
      ? ['Its OAuth token is deleted; to have it back, somebody must sign in again.']
      : []),
    ...(config.credential || config.password ? ['Its stored credential is deleted.'] : []),
    'Its configuration is deleted. Its history stays.',
  ];
}

export function DeleteDialog({ connection }: { connection: Connection }) {
  const { kind, name } = connection;
  const navigate = useNavigate();
  const deletion = useMutation({
    mutationFn: () => api.deleteConnection({ params: { kind, name } }),
    onSuccess: async () => {
      await navigate({ to: '/connections', replace: true });
      queryClient.removeQueries({ queryKey: ['connection', kind, name] });
      await queryClient.invalidateQueries({ queryKey: connectionsQuery.queryKey });
    },
  });
  return (
    <ConfirmDialog
      trigger={
        <Button look="dangerPlain" icon={<Trash2 size={16} aria-hidden />}>
          Delete
        </Button>
      }
      title={`Delete ${name}?`}
      consequences={losses(connection)}
      keep="Keep it"
      confirm="Delete connection"
      busy={deletion.isPending}
      failure={deletion.error && { title: 'Not deleted', text: problemMessage(deletion.error) }}
      onOpen={() => deletion.reset()}
      onConfirm={() => deletion.mutateAsync()}
    />
  );
}
