import type { CheckContext } from './check-context.ts';
import type { Issue } from './description.ts';
import { asNode, type DocumentNode, entriesAt, listAt, member, nodeAt, numberAt } from './document-node.ts';
import { isFound } from './pattern.ts';
import { isHidden, requiredOf } from './schema-facts.ts';
import { choices, nearest } from './words.ts';

const MAX_ISSUES = 20;
/** Of one composition, when the names of their members are gathered. */
const MAX_PARTS = 1000;

const COMBINING = ['allOf', 'anyOf', 'oneOf'];
const BRANCHING = ['if', 'then', 'else'];

/** Every member that the schema or a part of its composition describes; each schema is looked at once. */
export function namesIn(schema: unknown, context: CheckContext): ReadonlySet<string> {
  const root = asNode(context.document.resolve(schema).value);
  if (root === undefined) return new Set();
  const kept = context.names.get(root);
  if (kept !== undefined) return kept;
  const names = new Set<string>();
  const seen = new Set<DocumentNode>([root]);
  for (const node of seen) {
    for (const name of Object.keys(nodeAt(node, 'properties') ?? {})) names.add(name);
    const parts = COMBINING.flatMap((key) => listAt(node, key));
    for (const key of BRANCHING) if (member(node, key) !== undefined) parts.push(member(node, key));
    for (const [, dependent] of entriesAt(node, 'dependentSchemas')) parts.push(dependent);
    for (const part of parts) {
      const resolved = asNode(context.document.resolve(part).value);
      if (resolved !== undefined && seen.size < MAX_PARTS) seen.add(resolved);
    }
  }
  context.names.set(root, names);
  return names;
}

export function checkObject(
  schema: DocumentNode,
  value: DocumentNode,
  at: string,
  known: ReadonlySet<string> | undefined,
  context: CheckContext,
): Issue[] {
  const issues = [...missing(schema, value, at, context), ...sizeIssues(schema, value, at)];
  const properties = nodeAt(schema, 'properties');
  const patterns = entriesAt(schema, 'patternProperties');
  const unevaluated = member(schema, 'unevaluatedProperties');
  const others = member(schema, 'additionalProperties') ?? unevaluated;
  const named = others === undefined ? undefined : new Set([...(known ?? []), ...namesIn(schema, context)]);
  for (const [name, item] of Object.entries(value)) {
    if (issues.length >= MAX_ISSUES) break;
    const within = `${at}.${name}`;
    const own = member(properties, name);
    if (own !== undefined) issues.push(...context.check(own, item, within));
    const matching = patterns.filter(([pattern]) => isFound(pattern, name) === true);
    for (const [, pattern] of matching) issues.push(...context.check(pattern, item, within));
    if (own !== undefined || matching.length > 0 || others === undefined || named?.has(name)) continue;
    if (others === false) {
      // A pattern that cannot be read may be the one that admits it.
      if (patterns.some(([pattern]) => isFound(pattern, name) === undefined)) continue;
      issues.push({ at: within, message: unknownMember(name, [...(named ?? [])]) });
    } else issues.push(...context.check(others, item, within));
  }
  const nameSchema = member(schema, 'propertyNames');
  if (nameSchema !== undefined) {
    for (const name of Object.keys(value)) issues.push(...context.check(nameSchema, name, `${at}.${name} (the name)`));
  }
  return [...issues, ...dependentIssues(schema, value, at, known, context)];
}

function unknownMember(name: string, known: string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `is not known here; did you mean "${near}"?`;
  return known.length === 0 ? 'is not known here.' : `is not known here; known are ${choices(known)}.`;
}

function missing(schema: DocumentNode, value: DocumentNode, at: string, context: CheckContext): Issue[] {
  const properties = nodeAt(schema, 'properties');
  return requiredOf(schema).flatMap((name) => {
    if (Object.hasOwn(value, name)) return [];
    if (isHidden(member(properties, name), 'request', context.document)) return [];
    const near = nearest(
      name,
      Object.keys(value).filter((given) => member(properties, given) === undefined),
    );
    return [{ at: `${at}.${name}`, message: near === undefined ? 'is missing.' : `is missing; "${near}" was given.` }];
  });
}

function sizeIssues(schema: DocumentNode, value: DocumentNode, at: string): Issue[] {
  const size = Object.keys(value).length;
  const [min, max] = [numberAt(schema, 'minProperties'), numberAt(schema, 'maxProperties')];
  const issues: Issue[] = [];
  if (min !== undefined && size < min) issues.push({ at, message: `needs at least ${min} members; got ${size}.` });
  if (max !== undefined && size > max) issues.push({ at, message: `may have ${max} members; got ${size}.` });
  return issues;
}

/** `dependentRequired`, `dependentSchemas`, and `dependencies` that were both before 2019-09. */
function dependentIssues(
  schema: DocumentNode,
  value: DocumentNode,
  at: string,
  known: ReadonlySet<string> | undefined,
  context: CheckContext,
): Issue[] {
  const keys = ['dependentRequired', 'dependentSchemas', 'dependencies'];
  const dependents = keys.flatMap((key) => entriesAt(schema, key)).filter(([name]) => Object.hasOwn(value, name));
  return dependents.flatMap(([name, dependent]) => {
    if (!Array.isArray(dependent)) return context.check(dependent, value, at, known);
    const absent = (dependent as unknown[]).filter(
      (other) => typeof other === 'string' && !Object.hasOwn(value, other),
    );
    return absent.map((other) => ({ at: `${at}.${String(other)}`, message: `is missing: "${name}" needs it.` }));
  });
}
