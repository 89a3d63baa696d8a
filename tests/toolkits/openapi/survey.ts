import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Description, type Operation, parseDescription } from '../../../src/toolkits/api/openapi/index.ts';
import { argumentsSchema } from '../../../src/toolkits/api/openapi/operation-details.ts';
import { exampleArguments } from './example-arguments.ts';

export type Survey = {
  name: string;
  format: string;
  operations: number;
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

/** Of one description, evenly from its list: a search looks through all operations, so one for each would be their square. */
const SEARCHES = 50;
const MAX_BYTES = 65_536;

function searchFault(description: Description, { id }: Operation): string[] {
  const page = description.search(id, { limit: 1 });
  const isFirst = page.ok && page.operations[0]?.id.toLowerCase() === id.toLowerCase();
  return isFirst ? [] : [`${id} is not the first of a search for it`];
}

/** Finds, describes and builds every operation, as a caller who knows nothing but the description would. */
export function surveyOf(name: string, text: string): Survey {
  const parsed = parseDescription(text, { base_url: baseUrlOf(text) });
  const refusals = new Map<string, number>();
  const nothing = { name, format: '', operations: 0, largest: 0, built: 0, warnings: [], faults: [], refusals };
  if (!parsed.ok) return { ...nothing, faults: parsed.issues.map(({ message }) => message) };
  const { description } = parsed;
  const { format, operations, warnings } = description;
  const survey: Survey = { ...nothing, format, operations: operations.length, warnings: [...warnings] };
  const step = Math.ceil(operations.length / SEARCHES);
  for (const [index, operation] of operations.entries()) {
    if (description.find(operation.id) !== operation) survey.faults.push(`${operation.id} is not found by its id`);
    if (index % step === 0) survey.faults.push(...searchFault(description, operation));
    const details = description.describe(operation);
    const bytes = Buffer.byteLength(JSON.stringify(details));
    if (bytes > MAX_BYTES) survey.faults.push(`${operation.id} is described in ${bytes} bytes`);
    survey.largest = Math.max(survey.largest, bytes);
    const built = description.build(operation, exampleArguments(argumentsSchema(details)));
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

export function readSurvey(folder: string, file: string): Survey {
  return surveyOf(file.replace(/\.json$/, ''), readFileSync(join(folder, file), 'utf8'));
}
