import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDescription } from '../../../src/toolkits/api/openapi/index.ts';
import { exampleArguments } from './example-arguments.ts';

export type Survey = {
  name: string;
  format: string;
  operations: number;
  /** How many of them were looked at. */
  described: number;
  /** Of the largest description of an operation. */
  largest: number;
  /** Operations whose made-up example arguments became a request. */
  built: number;
  warnings: string[];
  /** Operations that could not be found, searched or described, and why. */
  faults: string[];
  /** Why example arguments were refused, each reason once with the number of operations. */
  refusals: Map<string, number>;
};

/** Where the description says that the API is, so that its servers lie under base_url. */
function baseUrlOf(text: string): string {
  const { servers } = JSON.parse(text) as { servers?: { url?: string }[] };
  const url = servers?.[0]?.url?.replace(/\{[^}]*\}/g, 'x') ?? '';
  return /^https?:\/\//.test(url) ? new URL(url).origin : 'https://api.example.com';
}

/** Looks at `most` operations at most, evenly from the whole list. */
export function surveyOf(name: string, text: string, most = Number.POSITIVE_INFINITY): Survey {
  const parsed = parseDescription(text, { base_url: baseUrlOf(text) });
  const refusals = new Map<string, number>();
  const survey: Survey = {
    name,
    format: '',
    operations: 0,
    described: 0,
    largest: 0,
    built: 0,
    warnings: [],
    faults: [],
    refusals,
  };
  if (!parsed.ok) return { ...survey, faults: parsed.issues.map(({ message }) => message) };
  const { description } = parsed;
  survey.format = description.format;
  survey.operations = description.operations.length;
  survey.warnings = [...description.warnings];
  const step = Math.max(1, Math.ceil(description.operations.length / most));
  for (const operation of description.operations.filter((_, index) => index % step === 0)) {
    survey.described += 1;
    if (description.find(operation.id) !== operation) survey.faults.push(`${operation.id} is not found by its id`);
    const page = description.search(operation.id, { limit: 1 });
    if (!page.ok || page.operations[0]?.id.toLowerCase() !== operation.id.toLowerCase()) {
      survey.faults.push(`${operation.id} is not the first of a search for it`);
    }
    const bytes = Buffer.byteLength(JSON.stringify(description.describe(operation)));
    if (bytes > 65_536) survey.faults.push(`${operation.id} is described in ${bytes} bytes`);
    survey.largest = Math.max(survey.largest, bytes);
    const built = description.build(operation, exampleArguments(description.inputSchema(operation)));
    if (built.ok) survey.built += 1;
    else {
      const reason = (built.issues[0]?.message ?? '').replace(/; got .*/, '').slice(0, 80);
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
    }
  }
  return survey;
}

export function descriptionFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort();
}

export function readSurvey(folder: string, file: string, most?: number): Survey {
  return surveyOf(file.replace(/\.json$/, ''), readFileSync(join(folder, file), 'utf8'), most);
}
