import { Collapsible } from '@base-ui/react/collapsible';
import { ChevronDown } from 'lucide-react';
import { type AuthMode, type FieldIssue, REDACTED } from '../api/wire.ts';
import { type ConfigField, type FormTexts, fieldsFor } from '../text/config-field.ts';
import { issuesAt } from '../text/config-form.ts';
import { Field } from '../ui/field.tsx';
import { ConfigControl } from './config-control.tsx';

type FieldsProps = {
  kind: string;
  mode: AuthMode;
  texts: FormTexts;
  /** As stored; which secrets may be kept. */
  stored: FormTexts;
  issues: readonly FieldIssue[];
  onText: (key: string, text: string) => void;
};

function OneField({ field, ...props }: FieldsProps & { field: ConfigField }) {
  return (
    <Field
      label={field.label}
      hint={field.hint}
      optional={!field.required && field.type !== 'choice' && field.type !== 'flag'}
      issues={issuesAt(props.issues, field.key)}
    >
      {(control) => (
        <ConfigControl
          field={field}
          control={control}
          value={props.texts[field.key] ?? ''}
          stored={props.stored[field.key] === REDACTED}
          onText={(text) => props.onText(field.key, text)}
        />
      )}
    </Field>
  );
}

/** The fields that this auth mode needs; those that few connections need are folded away until one has a value or an issue. */
export function ConfigFields({ without = [], ...props }: FieldsProps & { without?: readonly string[] }) {
  const fields = fieldsFor(props.kind, props.mode, props.texts).filter((field) => !without.includes(field.key));
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
