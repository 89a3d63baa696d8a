import { Collapsible } from '@base-ui/react/collapsible';
import { ChevronDown } from 'lucide-react';
import { type AuthMode, type FieldIssue, REDACTED } from '../api/wire.ts';
import { type ConfigField, type FormTexts, fieldsFor, issuesAt } from '../text/config-form.ts';
import { CONTROL, type ControlProps, Field } from '../ui/field.tsx';
import { DocumentInput } from './document-input.tsx';
import { SecretInput } from './secret-input.tsx';

type FieldsProps = {
  kind: string;
  mode: AuthMode;
  texts: FormTexts;
  /** As stored; which secrets may be kept. */
  stored: FormTexts;
  issues: readonly FieldIssue[];
  onText: (key: string, text: string) => void;
};

function TextControl({ field, control, ...props }: FieldsProps & { field: ConfigField; control: ControlProps }) {
  const { texts, stored, onText } = props;
  const value = texts[field.key] ?? '';
  const change = (event: { target: { value: string } }) => onText(field.key, event.target.value);
  switch (field.type) {
    case 'secret':
      return (
        <SecretInput
          control={control}
          text={value}
          stored={stored[field.key] === REDACTED}
          removable={!field.required}
          onText={(text) => onText(field.key, text)}
        />
      );
    case 'choice':
    case 'flag':
      return (
        <select {...control} value={value} onChange={change} className={CONTROL}>
          <option value="">Chosen by the platform</option>
          {field.choices?.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      );
    case 'json':
    case 'map':
    case 'pem':
    case 'secret_map':
      return (
        <textarea
          {...control}
          rows={3}
          value={value}
          onChange={change}
          spellCheck={false}
          className={`${CONTROL} font-mono`}
        />
      );
    case 'url':
      return (
        <input
          {...control}
          type="url"
          inputMode="url"
          value={value}
          onChange={change}
          placeholder="https://"
          spellCheck={false}
          className={`${CONTROL} font-mono`}
        />
      );
    case 'document':
      return (
        <DocumentInput
          control={control}
          text={value}
          stored={stored[field.key] === REDACTED}
          onText={(text) => onText(field.key, text)}
        />
      );
    case 'number':
    case 'text':
      return <input {...control} type="text" value={value} onChange={change} spellCheck={false} className={CONTROL} />;
  }
}

function OneField({ field, ...props }: FieldsProps & { field: ConfigField }) {
  return (
    <Field
      label={field.label}
      hint={field.hint}
      optional={!field.required && field.type !== 'choice' && field.type !== 'flag'}
      issues={issuesAt(props.issues, field.key)}
    >
      {(control) => <TextControl field={field} control={control} {...props} />}
    </Field>
  );
}

/** The fields that this auth mode needs; those that few connections need are folded away until one has a value or an issue. */
export function ConfigFields({ without = [], ...props }: FieldsProps & { without?: readonly string[] }) {
  const fields = fieldsFor(props.kind, props.mode).filter((field) => !without.includes(field.key));
  const advanced = fields.filter((field) => field.advanced);
  const telling = advanced.some(({ key }) => props.stored[key] !== undefined || issuesAt(props.issues, key).length > 0);
  return (
    <>
      {fields
        .filter((field) => !field.advanced)
        .map((field) => (
          <OneField key={field.key} field={field} {...props} />
        ))}
      {advanced.length > 0 && (
        <Collapsible.Root defaultOpen={telling} key={String(telling)}>
          <Collapsible.Trigger className="group flex items-center gap-2 rounded-md py-1 text-sm font-medium text-accent">
            <ChevronDown size={16} aria-hidden className="transition-transform group-data-panel-open:rotate-180" />
            Advanced settings
          </Collapsible.Trigger>
          <Collapsible.Panel className="mt-4 grid gap-x-6 gap-y-5 sm:grid-cols-2">
            {advanced.map((field) => (
              <OneField key={field.key} field={field} {...props} />
            ))}
          </Collapsible.Panel>
        </Collapsible.Root>
      )}
    </>
  );
}
