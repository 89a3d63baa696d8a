import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, refetchConnection } from '../api/queries.ts';
import { ApiProblem, AUTH_MODES, type AuthMode, type Connection } from '../api/wire.ts';
import { type FormTexts, fieldsFor } from '../text/config-field.ts';
import { type Config, issuesAt, readForm, textsOf } from '../text/config-form.ts';
import { authModeOf } from '../text/labels.ts';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import { AuthModeChoice } from './auth-mode-choice.tsx';
import { ConfigFields } from './config-fields.tsx';
import { DescriptionField } from './description-field.tsx';
import { FormProblem, issuesOf } from './form-problem.tsx';

/** The keys whose change sends credentials elsewhere, so that the server drops the present tokens. */
const DESTINATIONS = ['endpoint', 'base_url', 'oauth2_issuer', 'oauth2_authorization_url', 'oauth2_token_url'];

type Draft = { mode: AuthMode; texts: FormTexts; description: string };

function useConfigForm(connection: Connection, onClose: () => void) {
  const { kind, name } = connection;
  // What was read when the form was opened; the page behind goes on refreshing without touching what is typed.
  const [base] = useState<Config>(connection.config);
  const [stored] = useState(() => textsOf(kind, base));
  const [mode, setMode] = useState(() => authModeOf(connection));
  const [texts, setTexts] = useState<FormTexts>(stored);
  const [description, setDescription] = useState(connection.description);
  const saving = useMutation({
    mutationFn: async (draft: Draft) => {
      const read = readForm(kind, draft.mode, draft.texts, base);
      if (!read.ok) throw new ApiProblem(422, 'invalid_config', 'The form is not complete.', { issues: read.issues });
      return api.putConnection({
        params: { kind, name },
        body: { config: read.config, description: draft.description },
      });
    },
    onSuccess: async () => {
      await refetchConnection({ kind, name });
      onClose();
    },
  });
  return {
    ...{ stored, mode, setMode, texts, description, setDescription, saving },
    setText: (key: string, text: string) => setTexts((before) => ({ ...before, [key]: text })),
    moved: mode !== authModeOf(connection) || DESTINATIONS.some((key) => (texts[key] ?? '') !== (stored[key] ?? '')),
    submit: (event: FormEvent) => {
      event.preventDefault();
      saving.mutate({ mode, texts, description: description.trim() });
    },
  };
}

export function ConfigForm({ connection, onClose }: { connection: Connection; onClose: () => void }) {
  const { kind, oauth } = connection;
  const form = useConfigForm(connection, onClose);
  const issues = form.saving.error ? issuesOf(form.saving.error) : connection.issues;
  const shown = ['auth_mode', 'description', ...fieldsFor(kind, form.mode, form.texts).map((field) => field.key)];
  return (
    <form noValidate onSubmit={form.submit} className="space-y-6">
      <ConfigFields
        kind={kind}
        mode={form.mode}
        texts={form.texts}
        stored={form.stored}
        issues={issues}
        onText={form.setText}
      />
      <AuthModeChoice
        modes={AUTH_MODES}
        value={form.mode}
        issues={issuesAt(issues, 'auth_mode')}
        onChange={form.setMode}
      />
      <DescriptionField
        value={form.description}
        issues={issuesAt(issues, 'description')}
        onChange={form.setDescription}
      />
      {form.moved && oauth?.state === 'connected' && (
        <Notice tone="warn" title="The present token will be dropped if its destination moves">
          A token is only ever sent where it was given for. After saving, connect again.
        </Notice>
      )}
      <FormProblem error={form.saving.error} shown={shown} />
      <div className="flex flex-wrap gap-2 border-t border-line pt-5">
        <Button type="submit" look="primary" busy={form.saving.isPending}>
          Save
        </Button>
        <Button look="quiet" onClick={onClose}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
