import type { FieldIssue } from './errors.ts';

/** What no text of the database can hold: the character NUL, and half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** A JSON text with U+FFFD where one of its strings holds what cannot be stored: JSON spells both out. */
export function storableJson(text: string): string {
  if (!text.includes('\\ud') && !text.includes('\\u0000')) return text;
  return text.replace(/\\(?:u(0000|d[89a-f][0-9a-f]{2})|.)/g, (found, unstorable) =>
    unstorable === undefined ? found : '\ufffd',
  );
}

/** Every text of a configuration that cannot be stored, names of fields included, each by its path. */
export function storableIssues(value: unknown, path: string): FieldIssue[] {
  const message = 'holds a character that is no text: NUL, or half of a surrogate pair';
  if (typeof value === 'string') return isStorable(value) ? [] : [{ path, message }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = path === '' ? key : `${path}.${key}`;
    return isStorable(key)
      ? storableIssues(inner, at)
      : [{ path: path || 'config', message: `has a name that ${message}` }];
  });
}
