import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { api, connectionsQuery, refetchConnection } from '../api/queries.ts';
import { ApiProblem, type AuthMode, type FieldIssue } from '../api/wire.ts';
import { AuthModeChoice } from '../connection/auth-mode-choice.tsx';
import { ConfigFields } from '../connection/config-fields.tsx';
import { DescriptionField } from '../connection/description-field.tsx';
import { FormProblem, issuesOf } from '../connection/form-problem.tsx';
import { type FormTexts, fieldsFor } from '../text/config-field.ts';
import { issuesAt, missingFields, readForm } from '../text/config-form.ts';
import { proposeName } from '../text/connection-name.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { CONTROL, Field } from '../ui/field.tsx';
import { PageHeading } from '../ui/page-heading.tsx';

type Kind = 'mcp' | 'api';

const KINDS: Record<
  Kind,
  { choice: string; destination: string; label: string; hint: string; placeholder: string; needed: string }
> = {
  mcp: {
    choice: 'MCP server',
    destination: 'endpoint',
    label: 'URL of the MCP server',
    hint: 'Paste it as its documentation gives it; it often ends in /mcp.',
    placeholder: 'https://mcp.example.com/mcp',
    needed: 'is needed: paste the server’s URL',
  },
  api: {
    choice: 'HTTP API',
    destination: 'base_url',
    label: 'Base URL of the API',
    hint: 'What all its paths have in common. Requests never leave it.',
    placeholder: 'https://api.example.com/v1',
    needed: 'is needed: paste the API’s base URL',
  },
};
const MODES: readonly AuthMode[] = ['oauth', 'none', 'bearer', 'api_key', 'basic'];

type Draft = { kind: Kind; name: string; mode: AuthMode; texts: FormTexts; description: string };

function refused(issues: FieldIssue[]): ApiProblem {
  return new ApiProblem(422, 'invalid_config', 'The form is not complete.', { issues });
}

async function create({ kind, name, mode, texts, description }: Draft) {
  const { destination, needed } = KINDS[kind];
  const issues = missingFields(kind, mode, texts).map((issue) =>
    issue.path === destination ? { ...issue, message: needed } : issue,
  );
  if (name === '') issues.push({ path: 'name', message: 'is needed' });
  const read = readForm(kind, mode, texts, {});
  if (!read.ok) issues.push(...read.issues);
  if (issues.length > 0 || !read.ok) throw refused(issues);
  // A PUT replaces what has the name; whoever adds a connection does not mean that.
  const { connections } = await api.listConnections();
  if (connections.some((each) => each.kind === kind && each.name === name)) {
    throw refused([{ path: 'name', message: `is taken: there is a connection ${name} already` }]);
  }
  return api.putConnection({ params: { kind, name }, body: { config: read.config, description } });
}

function useAddForm() {
  const navigate = useNavigate();
  const known = useQuery(connectionsQuery);
  const [kind, setKind] = useState<Kind>('mcp');
  const [typedName, setTypedName] = useState<string | null>(null);
  const [mode, setMode] = useState<AuthMode>('oauth');
  const [texts, setTexts] = useState<FormTexts>({});
  const [description, setDescription] = useState('');
  const taken = known.data?.connections.map((each) => each.name) ?? [];
  const name = typedName ?? proposeName(texts[KINDS[kind].destination] ?? '', taken);
  const saving = useMutation({
    mutationFn: create,
    onSuccess: async (connection) => {
      const key = { kind: connection.kind, name: connection.name };
      await refetchConnection(key);
      await navigate({ to: '/connections/$kind/$name', params: key });
    },
  });
  return {
    kind,
    setKind,
    name,
    setTypedName,
    mode,
    setMode,
    texts,
    setText: (key: string, text: string) => setTexts((before) => ({ ...before, [key]: text })),
    description,
    setDescription,
    saving,
    submit: (event: FormEvent) => {
      event.preventDefault();
      saving.mutate({ kind, name: name.trim(), mode, texts, description: description.trim() });
    },
  };
}

function NameField({ form, issues }: { form: ReturnType<typeof useAddForm>; issues: readonly string[] }) {
  return (
    <Field
      label="Name"
      hint={
        form.kind === 'mcp'
          ? 'Lower-case letters, digits and hyphens. Its tools are called name__tool.'
          : 'Lower-case letters, digits and hyphens. Agents name it to the tools api_….'
      }
      issues={issues}
    >
      {(control) => (
        <input
          {...control}
          type="text"
          value={form.name}
          onChange={({ target }) => form.setTypedName(target.value)}
          spellCheck={false}
          autoComplete="off"
          className={CONTROL}
        />
      )}
    </Field>
  );
}

function KindChoice({ value, onChange }: { value: Kind; onChange: (kind: Kind) => void }) {
  return (
    <fieldset className="space-y-2">
      <legend className="text-sm font-medium">What it leads to</legend>
      <div className="flex flex-wrap gap-x-6 gap-y-2">
        {(Object.keys(KINDS) as Kind[]).map((kind) => (
          <label key={kind} className="flex items-center gap-2 text-sm">
            <input type="radio" name="kind" checked={value === kind} onChange={() => onChange(kind)} />
            {KINDS[kind].choice}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function AddConnectionPage() {
  const form = useAddForm();
  const issues = issuesOf(form.saving.error);
  const { destination, label, hint, placeholder } = KINDS[form.kind];
  const shown = [
    'name',
    'auth_mode',
    'description',
    ...fieldsFor(form.kind, form.mode, form.texts).map((field) => field.key),
  ];
  const common = { kind: form.kind, mode: form.mode, texts: form.texts, stored: {}, issues, onText: form.setText };
  return (
    <div className="mx-auto max-w-2xl">
      <PageHeading
        title="Add a connection"
        before={
          <Link
            to="/connections"
            className="inline-flex items-center gap-1.5 rounded text-sm text-accent hover:underline"
          >
            <ArrowLeft size={15} aria-hidden /> Connections
          </Link>
        }
      />
      <form
        noValidate
        onSubmit={form.submit}
        className="space-y-6 rounded-xl border border-line bg-surface p-5 shadow-card sm:p-7"
      >
        <KindChoice value={form.kind} onChange={form.setKind} />
        <Field label={label} hint={hint} issues={issuesAt(issues, destination)}>
          {(control) => (
            <input
              {...control}
              type="url"
              inputMode="url"
              // biome-ignore lint/a11y/noAutofocus: the page exists to have a URL pasted into this field
              autoFocus
              value={form.texts[destination] ?? ''}
              onChange={({ target }) => form.setText(destination, target.value)}
              placeholder={placeholder}
              spellCheck={false}
              className={`${CONTROL} font-mono`}
            />
          )}
        </Field>
        <NameField form={form} issues={issuesAt(issues, 'name')} />
        <AuthModeChoice
          modes={MODES}
          value={form.mode}
          issues={issuesAt(issues, 'auth_mode')}
          onChange={form.setMode}
        />
        <ConfigFields {...common} without={[destination]} />
        <DescriptionField
          value={form.description}
          issues={issuesAt(issues, 'description')}
          onChange={form.setDescription}
        />
        <FormProblem error={form.saving.error} shown={shown} />
        <div className="flex flex-wrap gap-2 border-t border-line pt-5">
          <Button type="submit" look="primary" busy={form.saving.isPending}>
            Add connection
          </Button>
          <Link to="/connections" className={buttonClass('quiet')}>
            Cancel
          </Link>
        </div>
      </form>
    </div>
  );
}
