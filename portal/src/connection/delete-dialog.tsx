import { AlertDialog } from '@base-ui/react/alert-dialog';
import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Trash2 } from 'lucide-react';
import { api, connectionsQuery, problemMessage, queryClient } from '../api/queries.ts';
import type { Connection } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';

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
    <AlertDialog.Root onOpenChange={(open) => open && deletion.reset()}>
      <AlertDialog.Trigger render={<Button look="dangerPlain" icon={<Trash2 size={16} aria-hidden />} />}>
        Delete
      </AlertDialog.Trigger>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="fixed inset-0 bg-scrim" />
        <AlertDialog.Popup
          className="fixed top-1/2 left-1/2 max-h-[calc(100dvh-2rem)] w-[calc(100vw-2rem)] max-w-lg -translate-x-1/2
            -translate-y-1/2 space-y-5 overflow-y-auto rounded-xl border border-line bg-surface p-6 shadow-card outline-none"
        >
          <AlertDialog.Title className="text-lg font-semibold wrap-anywhere">Delete {name}?</AlertDialog.Title>
          <AlertDialog.Description render={<div />} className="text-sm">
            <ul className="list-disc space-y-1.5 pl-5">
              {losses(connection).map((loss) => (
                <li key={loss}>{loss}</li>
              ))}
            </ul>
          </AlertDialog.Description>
          {deletion.error && (
            <Notice tone="bad" title="Not deleted">
              {problemMessage(deletion.error)}
            </Notice>
          )}
          <div className="flex flex-wrap justify-end gap-2">
            <AlertDialog.Close render={<Button />}>Keep it</AlertDialog.Close>
            <Button look="danger" busy={deletion.isPending} onClick={() => deletion.mutate()}>
              Delete connection
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
