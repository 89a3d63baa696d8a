import type { CheckContext } from './check-context.ts';
import type { Issue } from './description.ts';
import { type DocumentNode, flagAt, listAt, member, numberAt } from './document-node.ts';

/** Issues of one list; the rest of a list of a thousand wrong items adds nothing. */
const MAX_ISSUES = 20;

export function checkList(schema: DocumentNode, value: readonly unknown[], at: string, context: CheckContext): Issue[] {
  const issues = sizeIssues(schema, value, at);
  const items = member(schema, 'items');
  const tuple = Array.isArray(items) ? (items as unknown[]) : listAt(schema, 'prefixItems');
  const rest = Array.isArray(items) ? member(schema, 'additionalItems') : items;
  for (const [index, item] of value.entries()) {
    if (issues.length >= MAX_ISSUES) return issues;
    const itemSchema = index < tuple.length ? tuple[index] : rest;
    if (itemSchema !== undefined) issues.push(...context.check(itemSchema, item, `${at}[${index}]`));
  }
  const contained = member(schema, 'contains');
  if (contained !== undefined) {
    const least = numberAt(schema, 'minContains') ?? 1;
    const most = numberAt(schema, 'maxContains') ?? Number.POSITIVE_INFINITY;
    const found = value.filter((item, index) => context.check(contained, item, `${at}[${index}]`).length === 0).length;
    if (found < least)
      issues.push({ at, message: `needs at least ${least} items of the described form; has ${found}.` });
    if (found > most) issues.push({ at, message: `may have ${most} items of the described form; has ${found}.` });
  }
  return issues;
}

function sizeIssues(schema: DocumentNode, value: readonly unknown[], at: string): Issue[] {
  const issues: Issue[] = [];
  const [min, max] = [numberAt(schema, 'minItems'), numberAt(schema, 'maxItems')];
  if (min !== undefined && value.length < min)
    issues.push({ at, message: `needs at least ${min} items; got ${value.length}.` });
  if (max !== undefined && value.length > max)
    issues.push({ at, message: `may have ${max} items; got ${value.length}.` });
  if (flagAt(schema, 'uniqueItems') && new Set(value.map((item) => JSON.stringify(item))).size < value.length) {
    issues.push({ at, message: 'must not have the same item twice.' });
  }
  return issues;
}
