import { type ReactNode, useId } from 'react';

export const CONTROL = `block w-full min-h-10 rounded-lg border border-line-strong bg-surface px-3 py-2 text-sm text-ink
  aria-invalid:border-bad disabled:opacity-60`;

/** What a control must carry so that its label, its hint and its issues belong to it. */
export type ControlProps = {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': boolean | undefined;
};

type FieldProps = {
  label: string;
  hint?: ReactNode;
  issues?: readonly string[];
  optional?: boolean;
  children: (control: ControlProps) => ReactNode;
};

export function Field({ label, hint, issues = [], optional = false, children }: FieldProps) {
  const id = useId();
  const described = [hint ? `${id}-hint` : '', issues.length > 0 ? `${id}-issues` : ''].filter(Boolean).join(' ');
  return (
    <div className="space-y-1.5">
      <label htmlFor={id} className="block text-sm font-medium">
        {label}
        {optional && <span className="ml-1.5 font-normal text-ink-soft">(optional)</span>}
      </label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': issues.length > 0 || undefined })}
      {hint && (
        <p id={`${id}-hint`} className="text-[0.8125rem] text-ink-soft">
          {hint}
        </p>
      )}
      <FieldIssues id={`${id}-issues`} issues={issues} />
    </div>
  );
}

export function FieldIssues({ id, issues }: { id?: string; issues: readonly string[] }) {
  if (issues.length === 0) return null;
  return (
    <ul id={id} className="space-y-0.5 text-[0.8125rem] font-medium text-bad">
      {issues.map((issue) => (
        <li key={issue}>{issue}</li>
      ))}
    </ul>
  );
}
