import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DESCRIPTIONS } from '../scripts/descriptions.mjs';
import { configurationPage, durabilityPage, errorPage } from '../scripts/docs-pages.mjs';
import { loadConfig, SETTINGS } from '../src/config.ts';
import { AUTH_EVENT_TYPES, REVOCATION_REASONS } from '../src/core/auth-event.ts';
import { ERROR_TABLE } from '../src/core/errors.ts';
import { DEFAULT_PROTOCOL_SETTINGS } from '../src/core/settings.ts';
import { descriptionFiles } from './toolkits/openapi/survey.ts';
import { DROPPED } from './traces/rules.ts';
import { INVARIANTS, TRACES } from './traces/table.ts';

const page = (name: string) => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8');

/** The cells of the table's rows, code marks taken off; a dash is an empty cell. */
const rows = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => (cell === '–' ? undefined : cell.replace(/^`(.*)`$/, '$1').replaceAll('\\|', '|'))),
    );

describe('docs/errors.md', () => {
  it('lists exactly the codes of the table, with status and exit code', () => {
    const expected = Object.entries(ERROR_TABLE).map(([code, { status, exit, title }]) => [
      code,
      String(status),
      String(exit),
      title,
    ]);
    expect(rows(page('errors.md'))).toEqual(expected);
  });

  it('is what `npm run docs` writes', () => {
    expect(page('errors.md')).toBe(errorPage(ERROR_TABLE));
  });
});

describe('docs/configuration.md', () => {
  it('lists exactly the settings, with environment variable and flag', () => {
    const settings: Record<string, { env?: string; flag?: string; secret?: true; about: string }> = SETTINGS;
    const expected = Object.entries(settings).map(([name, { env, flag, secret, about }]) => [
      name,
      env,
      flag,
      secret ? 'yes' : 'no',
      about,
    ]);
    const listed = rows(page('configuration.md')).map(([name, env, flag, , ...rest]) => [name, env, flag, ...rest]);
    expect(listed).toEqual(expected);
  });

  it('gives defaults that lead to the same configuration when they are written down', () => {
    const texts = rows(page('configuration.md')).flatMap(([name, , , text]) =>
      name !== undefined && text !== undefined && !text.startsWith('[') ? [[name, text] as const] : [],
    );
    expect(texts.length).toBeGreaterThan(15);
    expect(loadConfig(Object.fromEntries(texts), {})).toEqual(loadConfig({}, {}));
  });

  it('is what `npm run docs` writes', () => {
    expect(page('configuration.md')).toBe(configurationPage(SETTINGS));
  });
});

describe('docs/openapi.md', () => {
  it('tells of exactly the descriptions that the tests read, all of their operations described', () => {
    const told = rows(page('openapi.md'));
    const files = descriptionFiles(DESCRIPTIONS).map((file) => file.replace(/\.json$/, ''));
    expect(told.map(([name]) => name)).toEqual(files);
    for (const [name, , operations, described] of told) expect([name, described]).toEqual([name, operations]);
  });
});

describe('docs/durability.md', () => {
  it('has the tables that `npm run docs` writes', () => {
    expect(page('durability.md')).toBe(durabilityPage(page('durability.md'), { TRACES, DROPPED }));
  });

  it('explains each invariant and each rule that the tables name', () => {
    for (const [name, promise] of Object.entries(INVARIANTS)) {
      expect(page('durability.md')).toContain(`- **${name}**: ${promise}`);
    }
    const explained = [...page('durability.md').matchAll(/^- \*\*(\d+)\*\* /gm)].map(([, rule]) => Number(rule));
    expect(explained).toEqual(Array.from({ length: 22 }, (_, index) => index + 1));
  });

  it('names no event or reason that does not exist', () => {
    const known = new Set<string>([...AUTH_EVENT_TYPES, ...REVOCATION_REASONS]);
    const words = [...page('durability.md').matchAll(/`((?:refresh|rotation|token|connect)_[a-z_]+)`/g)];
    const unknown = words.flatMap(([, word = '']) => (known.has(word) ? [] : [word]));
    expect(words.length).toBeGreaterThan(20);
    expect(unknown).toEqual([]);
  });

  it('gives the times as they are', () => {
    const { send_window, token_deadline, late_listening, lease, listening_lease, owner_wait } =
      DEFAULT_PROTOCOL_SETTINGS;
    const times = [send_window, token_deadline, late_listening, lease, listening_lease, owner_wait];
    expect(times.map((ms) => ms / 1000)).toEqual([5, 30, 300, 90, 420, 900]);
    expect(page('durability.md')).toContain('5 s, 30 s, 5 min, 90 s, 7 min and 15 min');
  });
});
