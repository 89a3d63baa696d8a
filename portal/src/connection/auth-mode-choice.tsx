import { useId } from 'react';
import type { AuthMode } from '../api/wire.ts';
import { AUTH_MODE_LABELS } from '../text/labels.ts';
import { FieldIssues } from '../ui/field.tsx';

type AuthModeChoiceProps = {
  modes: readonly AuthMode[];
  value: AuthMode;
  issues: readonly string[];
  onChange: (mode: AuthMode) => void;
};

export function AuthModeChoice({ modes, value, issues, onChange }: AuthModeChoiceProps) {
  const name = useId();
  return (
    <fieldset className="space-y-2">
      <legend className="mb-2 text-sm font-medium">How does it sign in?</legend>
      <div className="grid gap-2.5 sm:grid-cols-2">
        {modes.map((mode) => (
          <label
            key={mode}
            className="flex gap-3 rounded-lg border border-line px-3.5 py-3 hover:bg-sunken has-checked:border-accent
              has-checked:bg-accent-soft has-focus-visible:outline-2 has-focus-visible:outline-offset-2
              has-focus-visible:outline-accent"
          >
            <input
              type="radio"
              name={name}
              value={mode}
              checked={value === mode}
              onChange={() => onChange(mode)}
              className="mt-1 size-4 shrink-0 accent-(--accent) outline-none"
            />
            <span className="min-w-0">
              <span className="block text-sm font-medium">{AUTH_MODE_LABELS[mode].label}</span>
              <span className="block text-[0.8125rem] text-ink-soft">{AUTH_MODE_LABELS[mode].hint}</span>
            </span>
          </label>
        ))}
      </div>
      <FieldIssues issues={issues} />
    </fieldset>
  );
}
