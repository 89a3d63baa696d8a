import { REDACTED } from '../api/wire.ts';
import { Button } from '../ui/button.tsx';
import { CONTROL, type ControlProps } from '../ui/field.tsx';

type DocumentInputProps = {
  control: ControlProps;
  /** `[REDACTED]`: the stored text is kept. */
  text: string;
  stored: boolean;
  onText: (text: string) => void;
};

/** A long text, pasted or taken from a file. */
export function DocumentInput({ control, text, stored, onText }: DocumentInputProps) {
  const kept = stored && text === REDACTED;
  return (
    <div className="space-y-2">
      <textarea
        {...control}
        rows={4}
        value={kept ? '' : text}
        placeholder={kept ? 'Stored. Paste or choose another to replace it' : ''}
        onChange={({ target }) => onText(target.value === '' && stored ? REDACTED : target.value)}
        spellCheck={false}
        className={`${CONTROL} font-mono`}
      />
      <div className="flex flex-wrap items-center gap-2">
        <input
          type="file"
          accept=".json,.yaml,.yml"
          aria-label="Take the description from a file"
          onChange={({ target }) => void target.files?.[0]?.text().then(onText)}
          className="max-w-full text-sm text-ink-soft"
        />
        {kept && <Button onClick={() => onText('')}>Remove</Button>}
      </div>
    </div>
  );
}
