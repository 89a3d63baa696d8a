import { AlertDialog } from '@base-ui/react/alert-dialog';
import { type ReactElement, useState } from 'react';
import { Button } from './button.tsx';
import { Notice } from './notice.tsx';

type ConfirmDialogProps = {
  trigger: ReactElement;
  title: string;
  /** What follows, a sentence each. */
  consequences: string[];
  keep: string;
  confirm: string;
  busy: boolean;
  failure: { title: string; text: string } | null;
  onOpen: () => void;
  /** Resolves once it is done; the dialog stays open when it rejects. */
  onConfirm: () => Promise<unknown>;
};

/** Asks before an act that cannot be taken back, naming what is lost. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const [open, setOpen] = useState(false);
  const confirm = () =>
    props.onConfirm().then(
      () => setOpen(false),
      () => undefined,
    );
  return (
    <AlertDialog.Root
      open={open}
      onOpenChange={(next) => {
        if (next) props.onOpen();
        setOpen(next);
      }}
    >
      <AlertDialog.Trigger render={props.trigger} />
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="fixed inset-0 bg-scrim" />
        <AlertDialog.Popup
          className="fixed top-1/2 left-1/2 max-h-[calc(100dvh-2rem)] w-[calc(100vw-2rem)] max-w-lg -translate-x-1/2
            -translate-y-1/2 space-y-5 overflow-y-auto rounded-xl border border-line bg-surface p-6 shadow-card outline-none"
        >
          <AlertDialog.Title className="text-lg font-semibold wrap-anywhere">{props.title}</AlertDialog.Title>
          <AlertDialog.Description render={<div />} className="text-sm">
            <ul className="list-disc space-y-1.5 pl-5">
              {props.consequences.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          </AlertDialog.Description>
          {props.failure && (
            <Notice tone="bad" title={props.failure.title}>
              {props.failure.text}
            </Notice>
          )}
          <div className="flex flex-wrap justify-end gap-2">
            <AlertDialog.Close render={<Button />}>{props.keep}</AlertDialog.Close>
            <Button look="danger" busy={props.busy} onClick={() => void confirm()}>
              {props.confirm}
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
