import { isInexact, LOSES_DIGITS } from '../exact-numbers.ts';
import type { Check, CheckContext } from './check-context.ts';
import type { Issue } from './description.ts';
import type { Document } from './document.ts';
import { asNode, type DocumentNode, listAt, member, nodeAt } from './document-node.ts';
import { checkList } from './list-check.ts';
import { checkObject, namesIn } from './object-check.ts';
import { checkNumber, checkText } from './scalar-check.ts';
import { discriminatorOf, isBinary, isNullable, isSameJson, type SchemaType, typesOf } from './schema-facts.ts';
import { choices, nearest, shown, typeNames } from './words.ts';

/** Schema nodes looked at for one value; GitHub's largest body needs some hundred. */
const MAX_STEPS = 50_000;
/** Schemas within schemas; deeper only by cycles that do not descend into the value. */
const MAX_DEPTH = 64;

/**
 * A checker of values for requests. It reads the document in place and makes no code of it; where a schema cannot be
 * understood, or takes more than its share of steps, the value is let through: the upstream has the last word.
 * More lenient than JSON Schema where vendors err: several matching branches of `oneOf`, `additionalProperties: false`
 * within `allOf`, `format`, members that are `readOnly`.
 */
export function createCheck(document: Document, options: { wire: boolean }): Check {
  let steps = 0;
  let depth = 0;
  const context: CheckContext = {
    document,
    wire: options.wire,
    names: new Map(),
    check: (schema, value, at, known) => {
      steps += 1;
      if (steps > MAX_STEPS || depth >= MAX_DEPTH) return [];
      depth += 1;
      const issues = checkSchema(schema, value, at, known, context);
      depth -= 1;
      return issues;
    },
  };
  return context.check;
}

function checkSchema(
  raw: unknown,
  given: unknown,
  at: string,
  known: ReadonlySet<string> | undefined,
  context: CheckContext,
) {
  const { value: resolved } = context.document.resolve(raw);
  if (resolved === false) return [{ at, message: 'must not be given.' }];
  const schema = asNode(resolved);
  if (schema === undefined) return [];
  if (given === null && isNullable(schema)) return [];
  const value = context.wire ? asOnTheWire(given, typesOf(schema)) : given;
  const mistyped = digitsIssue(schema, given, at, context) ?? typeIssue(schema, value, at, context);
  if (mistyped !== undefined) return [mistyped];
  return [
    ...choiceIssues(schema, value, at, context),
    ...(typeof value === 'string' ? checkText(schema, value, at) : []),
    ...(typeof value === 'number' ? checkNumber(schema, value, at) : []),
    ...(Array.isArray(value) ? checkList(schema, value as unknown[], at, context) : []),
    ...(asNode(value) === undefined ? [] : checkObject(schema, value as DocumentNode, at, known, context)),
    ...checkCombined(schema, value, at, known, context),
  ];
}

/** A number as JSON writes it, to the digit: `007` is a name. */
function isNumeral(text: string): boolean {
  return /^-?\d[\d.eE+-]*$/.test(text) && !/^-?0\d/.test(text) && Number.isFinite(Number(text));
}

/** The value that the text stands for, or the text that the value is written as, by what the schema asks for. */
function asOnTheWire(value: unknown, types: readonly SchemaType[] | undefined): unknown {
  if (types === undefined) return value;
  const wants = (type: SchemaType) => types.includes(type);
  if (typeof value === 'string' && !wants('string')) {
    if (wants('boolean') && (value === 'true' || value === 'false')) return value === 'true';
    if ((wants('integer') || wants('number')) && isNumeral(value)) return Number(value);
  }
  if (typeof value === 'boolean' && wants('string') && !wants('boolean')) return String(value);
  // Beyond 2^53 the digits were lost before they came here.
  const exact = typeof value === 'number' && (!Number.isInteger(value) || Number.isSafeInteger(value));
  if (exact && wants('string') && !wants('number') && !wants('integer')) return String(value);
  return value;
}

function writtenExactly({ wire }: CheckContext): string {
  return wire ? 'write it as a text' : 'call by method and path, with the whole body as its JSON text';
}

function digitsIssue(schema: DocumentNode, given: unknown, at: string, context: CheckContext): Issue | undefined {
  if (!isInexact(given) || !typesOf(schema)?.includes('integer')) return undefined;
  return { at, message: `${LOSES_DIGITS}: ${writtenExactly(context)}.` };
}

function typeOf(value: unknown): SchemaType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  const type = typeof value;
  return type === 'string' || type === 'number' || type === 'boolean' ? type : 'object';
}

function typeIssue(schema: DocumentNode, value: unknown, at: string, context: CheckContext): Issue | undefined {
  const types = typesOf(schema);
  if (types === undefined) return undefined;
  const type = typeOf(value);
  if (types.includes(type)) return undefined;
  if (type === 'number' && types.includes('integer') && Number.isInteger(value)) return undefined;
  if (type === 'object' && isBinary(schema) && typeof member(value, 'base64') === 'string') return undefined;
  const hint = correction(schema, types, value, context);
  return { at, message: `must be ${typeNames(types)}; got ${shown(value)}${hint}.` };
}

function correction(schema: DocumentNode, types: readonly SchemaType[], value: unknown, context: CheckContext): string {
  if (isBinary(schema)) return ': write a text, or bytes as {"base64": "…"}';
  if (typeof value === 'string') {
    if (types.includes('array')) return `: write [${JSON.stringify(value.slice(0, 40))}]`;
    const bare = value.trim();
    const numeral = (types.includes('integer') || types.includes('number')) && isNumeral(bare);
    if (numeral && isInexact(Number(bare))) return `: ${writtenExactly(context)}`;
    if (numeral || (types.includes('boolean') && /^(?:true|false)$/.test(bare)))
      return `: write ${bare} without quotes`;
    if (types.includes('object') && /^\s*\{/.test(value)) return ': write the object itself, not its JSON as a text';
  }
  const scalar = typeof value === 'number' || typeof value === 'boolean';
  if (types.includes('string') && scalar) {
    return context.wire || isInexact(value)
      ? ': too large to be exact, write it as a text'
      : `: write "${String(value)}"`;
  }
  return '';
}

function choiceIssues(schema: DocumentNode, value: unknown, at: string, context: CheckContext): Issue[] {
  const fixed = member(schema, 'const');
  const allowed = fixed === undefined ? listAt(schema, 'enum') : [fixed];
  if (allowed.length === 0) return [];
  const scalar = typeof value !== 'object';
  // Values of another type than the schema's own, `type: integer, enum: ["1", "2"]`, are meant as written.
  const same = (one: unknown) => isSameJson(one, value) || (scalar && context.wire && String(one) === String(value));
  const types = typesOf(schema);
  const unreachable = types !== undefined && !allowed.some((one) => types.includes(typeOf(one)));
  if (allowed.some(same) || (unreachable && allowed.some((one) => String(one) === String(value)))) return [];
  const texts = allowed.filter((one) => typeof one === 'string');
  const near = typeof value === 'string' ? nearest(value, texts) : undefined;
  const meant = near === undefined ? '' : ` Did you mean ${JSON.stringify(near)}?`;
  return [{ at, message: `must be one of ${choices(allowed)}; got ${shown(value)}.${meant}` }];
}

function checkCombined(
  schema: DocumentNode,
  value: unknown,
  at: string,
  known: ReadonlySet<string> | undefined,
  context: CheckContext,
): Issue[] {
  const all = listAt(schema, 'allOf');
  const anyOf = listAt(schema, 'anyOf');
  const oneOf = listAt(schema, 'oneOf');
  const condition = member(schema, 'if');
  if (all.length + anyOf.length + oneOf.length === 0 && condition === undefined && !nodeAt(schema, 'not')) return [];
  // Members that another part of the same composition describes are no surprise to any part.
  const together = new Set([...(known ?? []), ...namesIn(schema, context)]);
  const issues = all.flatMap((part) => context.check(part, value, at, together));
  for (const branches of [anyOf, oneOf]) {
    if (branches.length > 0) issues.push(...checkBranches(schema, branches, value, at, together, context));
  }
  const not = member(schema, 'not');
  if (asNode(not) !== undefined && Object.keys(asNode(not) ?? {}).length > 0) {
    if (context.check(not, value, at).length === 0)
      issues.push({ at, message: 'is of a form that the description rules out.' });
  }
  if (condition !== undefined) {
    const branch = context.check(condition, value, at, together).length === 0 ? 'then' : 'else';
    if (member(schema, branch) !== undefined)
      issues.push(...context.check(member(schema, branch), value, at, together));
  }
  return issues;
}

function checkBranches(
  schema: DocumentNode,
  branches: readonly unknown[],
  value: unknown,
  at: string,
  known: ReadonlySet<string>,
  context: CheckContext,
): Issue[] {
  const discriminator = asNode(value) === undefined ? undefined : discriminatorOf(schema, branches);
  if (discriminator !== undefined) {
    const { property, targets } = discriminator;
    const chosen = member(value, property);
    const names = [...targets.keys()];
    if (chosen === undefined) return [{ at: `${at}.${property}`, message: `is missing: one of ${choices(names)}.` }];
    const target = targets.get(String(chosen));
    if (target !== undefined) return context.check(target, value, at, known);
  }
  let best: Issue[] | undefined;
  for (const branch of branches) {
    const issues = context.check(branch, value, at, known);
    if (issues.length === 0) return [];
    if (best === undefined || weight(issues, at) < weight(best, at)) best = issues;
  }
  if (best === undefined || branches.length === 1) return best ?? [];
  const [first] = best;
  if (first === undefined) return [];
  const where = first.at === at ? '' : `${first.at.slice(at.length).replace(/^\./, '')} `;
  return [
    { at, message: `fits none of the ${branches.length} described forms; the nearest says: ${where}${first.message}` },
  ];
}

/** A branch whose very type is wrong is further away than one with faults inside. */
function weight(issues: readonly Issue[], at: string): number {
  return issues.length + (issues.some((issue) => issue.at === at) ? 100 : 0);
}
