import type { AuthMode, FieldIssue } from '../api/wire.ts';
import { type ConfigField, everyField, type FormTexts, fieldsFor, fieldsOf } from './config-field.ts';

export type Config = Readonly<Record<string, unknown>>;

/** The shown fields that must not be empty and are. */
export function missingFields(kind: string, mode: AuthMode, texts: FormTexts): FieldIssue[] {
  const empty = fieldsFor(kind, mode, texts).filter(({ key, required }) => required && !texts[key]?.trim());
  return empty.map(({ key }) => ({ path: key, message: 'is needed' }));
}

function isMap(field: ConfigField): boolean {
  return field.type === 'map' || field.type === 'secret_map';
}

function mapText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([name, text]) => `${name}: ${String(text)}`)
    .join('\n');
}

export function textsOf(kind: string, config: Config): FormTexts {
  const texts: Record<string, string> = {};
  for (const field of everyField(kind)) {
    const value = config[field.key];
    if (value === undefined || value === null) continue;
    if (field.type === 'json') texts[field.key] = JSON.stringify(value, null, 2);
    else texts[field.key] = isMap(field) ? mapText(value) : String(value);
  }
  return texts;
}

type MapRead = { ok: true; map: Record<string, string> } | { ok: false; message: string };

function readMap(text: string): MapRead {
  const map: Record<string, string> = {};
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim();
    if (colon < 1 || name === '')
      return { ok: false, message: `needs «name: value» on each line; not so: ${line.trim()}` };
    map[name] = line.slice(colon + 1).trim();
  }
  return { ok: true, map };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export type FormRead = { ok: true; config: Record<string, unknown> } | { ok: false; issues: FieldIssue[] };

/**
 * The configuration that the form asks for. Keys that the form does not know, and fields of other auth modes, stay as
 * they are in `base`; an emptied field is left out.
 */
export function readForm(kind: string, mode: AuthMode, texts: FormTexts, base: Config): FormRead {
  const config: Record<string, unknown> = { ...base, auth_mode: mode };
  const issues: FieldIssue[] = [];
  for (const field of fieldsOf(kind, mode)) {
    const text = texts[field.key] ?? '';
    delete config[field.key];
    if (text.trim() === '' || field.isShown?.(texts) === false) continue;
    if (field.type === 'json' || field.type === 'flag' || field.type === 'number') {
      const value = readJson(text);
      if (value === undefined)
        issues.push({ path: field.key, message: field.type === 'number' ? 'is not a number' : 'is not valid JSON' });
      else config[field.key] = value;
      continue;
    }
    if (!isMap(field)) {
      // A secret is taken as typed: a space at its end may belong to it.
      config[field.key] = field.type === 'secret' ? text : text.trim();
      continue;
    }
    const read = readMap(text);
    if (read.ok) config[field.key] = read.map;
    else issues.push({ path: field.key, message: read.message });
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, config };
}

/** Issues of one field, those of its parts included (`static_headers.X-Team`). */
export function issuesAt(issues: readonly FieldIssue[], key: string): string[] {
  return issues
    .filter(({ path }) => [key, `config.${key}`].some((at) => path === at || path.startsWith(`${at}.`)))
    .map(({ path, message }) => {
      const part = path.slice(path.indexOf(key) + key.length + 1);
      return part ? `${part} ${message}` : message.charAt(0).toUpperCase() + message.slice(1);
    });
}

/** Issues that no shown field can carry. */
export function issuesElsewhere(issues: readonly FieldIssue[], shown: readonly string[]): FieldIssue[] {
  return issues.filter(({ path }) => !shown.some((key) => issuesAt([{ path, message: '' }], key).length > 0));
}
