import { CONTROL, Field } from '../ui/field.tsx';

type Props = { value: string; issues: readonly string[]; onChange: (text: string) => void };

export function DescriptionField({ value, issues, onChange }: Props) {
  return (
    <Field label="Description" optional issues={issues}>
      {(control) => (
        <input
          {...control}
          type="text"
          maxLength={1000}
          value={value}
          onChange={({ target }) => onChange(target.value)}
          className={CONTROL}
        />
      )}
    </Field>
  );
}
