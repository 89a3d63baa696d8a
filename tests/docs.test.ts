import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configurationPage, errorPage } from '../scripts/docs-pages.mjs';
import { loadConfig, SETTINGS } from '../src/config.ts';
import { ERROR_TABLE } from '../src/core/errors.ts';

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
