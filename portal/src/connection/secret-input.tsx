import { REDACTED } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { CONTROL, type ControlProps } from '../ui/field.tsx';

type SecretInputProps = {
  control: ControlProps;
  /** `[REDACTED]`: the stored secret is kept. */
  text: string;
  stored: boolean;
  removable: boolean;
  onText: (text: string) => void;
};

export function SecretInput({ control, text, stored, removable, onText }: SecretInputProps) {
  const kept = stored && text === REDACTED;
  const removed = stored && text === '';
  let placeholder = '';
  if (kept) placeholder = 'Stored. Type to replace it';
  if (removed) placeholder = 'Will be removed on save';
  return (
    <div className="flex gap-2">
      <input
        {...control}
        type="password"
        autoComplete="off"
        value={kept ? '' : text}
        placeholder={placeholder}
        onChange={({ target }) => onText(target.value === '' && stored ? REDACTED : target.value)}
        className={CONTROL}
      />
      {stored && removable && (
        <Button onClick={() => onText(kept ? '' : REDACTED)}>{kept ? 'Remove' : 'Keep stored'}</Button>
      )}
    </div>
  );
}
