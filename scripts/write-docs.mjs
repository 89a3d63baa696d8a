// npm run docs: writes docs/errors.md and docs/configuration.md from the tables of the source, and the tables of
// docs/durability.md from those of tests/traces. Needs a build. tests/docs.test.ts compares the files with the same tables.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { configurationPage, durabilityPage, errorPage } from './docs-pages.mjs';
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from './prepare.mjs';

requireNode();
ensureInstalled();
ensureBuilt();
/** @param {string} file */
const built = (file) => import(new URL(`../dist/${file}`, import.meta.url).href);
const { ERROR_TABLE } = await built('core/errors.js');
const { SETTINGS } = await built('config.js');
mkdirSync(join(ROOT, 'docs'), { recursive: true });
writeFileSync(join(ROOT, 'docs', 'errors.md'), errorPage(ERROR_TABLE));
writeFileSync(join(ROOT, 'docs', 'configuration.md'), configurationPage(SETTINGS));
/** @param {string} file */
const table = async (file) =>
  (await runnerImport(join(ROOT, 'tests/traces', file), { root: ROOT, configFile: false })).module;
const tables = { ...(await table('table.ts')), ...(await table('rules.ts')) };
const durability = join(ROOT, 'docs', 'durability.md');
writeFileSync(durability, durabilityPage(readFileSync(durability, 'utf8'), tables));
