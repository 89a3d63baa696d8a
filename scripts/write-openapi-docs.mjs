// npm run docs:openapi: describes every operation of the real descriptions that the tests use, and writes docs/openapi.md from
// what came of it. tests/docs.test.ts compares which descriptions it names.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { DESCRIPTIONS, ensureDescriptions } from './descriptions.mjs';
import { openApiPage } from './docs-pages.mjs';
import { ensureInstalled, ROOT, requireNode } from './prepare.mjs';

requireNode();
ensureInstalled();
ensureDescriptions();
/** @typedef {import('../tests/toolkits/openapi/survey.ts')} Surveys */
const { module: surveys } = /** @type {{ module: Surveys }} */ (
  await runnerImport(join(ROOT, 'tests/toolkits/openapi/survey.ts'), { root: ROOT, configFile: false })
);
const rows = surveys.descriptionFiles(DESCRIPTIONS).map((file) => surveys.readSurvey(DESCRIPTIONS, file));
writeFileSync(join(ROOT, 'docs', 'openapi.md'), openApiPage(rows));
