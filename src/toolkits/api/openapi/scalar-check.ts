import type { Issue } from './description.ts';
import { type DocumentNode, numberAt, textAt } from './document-node.ts';
import { isFound } from './pattern.ts';
import { boundOf } from './schema-facts.ts';
import { shown } from './words.ts';

/** Of a quotient of two decimal fractions, where binary ones have errors. */
const TOLERANCE = 1e-9;

export function checkText(schema: DocumentNode, value: string, at: string): Issue[] {
  const issues: Issue[] = [];
  const [min, max] = [numberAt(schema, 'minLength'), numberAt(schema, 'maxLength')];
  if (min !== undefined || max !== undefined) {
    const length = [...value].length;
    if (min !== undefined && length < min)
      issues.push({ at, message: `needs at least ${min} characters; got ${length}.` });
    if (max !== undefined && length > max) issues.push({ at, message: `may have ${max} characters; got ${length}.` });
  }
  const pattern = textAt(schema, 'pattern');
  if (pattern !== undefined && isFound(pattern, value) === false) {
    issues.push({ at, message: `must match the pattern ${pattern.slice(0, 200)}; got ${shown(value)}.` });
  }
  return issues;
}

export function checkNumber(schema: DocumentNode, value: number, at: string): Issue[] {
  const issues: Issue[] = [];
  const [lower, upper] = [boundOf(schema, 'minimum'), boundOf(schema, 'maximum')];
  if (lower !== undefined && (value < lower.limit || (lower.exclusive && value === lower.limit))) {
    issues.push({ at, message: `must be ${lower.exclusive ? 'more than' : 'at least'} ${lower.limit}; got ${value}.` });
  }
  if (upper !== undefined && (value > upper.limit || (upper.exclusive && value === upper.limit))) {
    issues.push({ at, message: `must be ${upper.exclusive ? 'less than' : 'at most'} ${upper.limit}; got ${value}.` });
  }
  const step = numberAt(schema, 'multipleOf');
  if (step !== undefined && step > 0) {
    const quotient = value / step;
    const off = Math.abs(quotient - Math.round(quotient));
    if (off > TOLERANCE * Math.max(1, Math.abs(quotient))) {
      issues.push({ at, message: `must be a multiple of ${step}; got ${value}.` });
    }
  }
  return issues;
}
