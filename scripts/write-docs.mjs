// npm run docs: writes docs/errors.md and docs/configuration.md from the tables of the source. Needs a build.
// tests/docs.test.ts compares the files with the same tables.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationPage, errorPage } from './docs-pages.mjs';
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
