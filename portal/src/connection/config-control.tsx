import type { ConfigField } from '../text/config-field.ts';
import { CONTROL, type ControlProps } from '../ui/field.tsx';
import { DocumentInput } from './document-input.tsx';
import { SecretInput } from './secret-input.tsx';

type ConfigControlProps = {
  field: ConfigField;
  control: ControlProps;
  value: string;
  /** The server keeps a text for it that it does not show. */
  stored: boolean;
  onText: (text: string) => void;
};

function PlainControl({ field, control, value, onText }: ConfigControlProps) {
  const shared = {
    ...control,
    value,
    onChange: ({ target }: { target: { value: string } }) => onText(target.value),
    spellCheck: false,
  };
  const mono = `${CONTROL} font-mono`;
  switch (field.type) {
    case 'json':
    case 'map':
    case 'pem':
    case 'secret_map':
      return <textarea {...shared} rows={3} className={mono} />;
    case 'url':
      return <input {...shared} type="url" inputMode="url" placeholder="https://" className={mono} />;
    default:
      return <input {...shared} type="text" className={CONTROL} />;
  }
}

/** What one key of the configuration is typed into. */
export function ConfigControl(props: ConfigControlProps) {
  const { field, control, value, stored, onText } = props;
  switch (field.type) {
    case 'secret':
      return <SecretInput control={control} text={value} stored={stored} removable={!field.required} onText={onText} />;
    case 'document':
      return <DocumentInput control={control} text={value} stored={stored} onText={onText} />;
    case 'choice':
    case 'flag':
      return (
        <select {...control} value={value} onChange={({ target }) => onText(target.value)} className={CONTROL}>
          <option value="">{field.unset ?? 'Chosen by the platform'}</option>
          {field.choices?.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      );
    default:
      return <PlainControl {...props} />;
  }
}
