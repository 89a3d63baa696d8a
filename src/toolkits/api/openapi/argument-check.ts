import type { Issue, OperationArguments, ParameterPlace, ParseOptions } from './description.ts';
import type { Document } from './document.ts';
import { asNode } from './document-node.ts';
import type { OperationView, Parameter } from './operation-parts.ts';
import { bodyForm, chooseMedia, shapeIssue } from './request-body.ts';
import { createCheck } from './schema-check.ts';
import { choices, nearest, shown } from './words.ts';

export type ParameterGroup = 'path_params' | 'query_params' | 'headers' | 'cookies';

export const GROUPS: Record<ParameterPlace, ParameterGroup> = {
  path: 'path_params',
  query: 'query_params',
  header: 'headers',
  cookie: 'cookies',
};

const PLACES = Object.keys(GROUPS) as ParameterPlace[];
const FIELDS = [...Object.values(GROUPS), 'body', 'content_type'];
const MAX_ISSUES = 20;

/** The value given for a parameter; null says the same as leaving it out. */
export function givenFor(parameter: Parameter, given: OperationArguments): unknown {
  const group = asNode(given[GROUPS[parameter.in]]) ?? {};
  if (parameter.in !== 'header')
    return Object.hasOwn(group, parameter.name) ? (group[parameter.name] ?? undefined) : undefined;
  const lower = parameter.name.toLowerCase();
  return Object.entries(group).find(([name]) => name.toLowerCase() === lower)?.[1] ?? undefined;
}

/** Whether the connection adds this parameter itself. */
export function isSupplied(parameter: Parameter, supplied: ParseOptions['supplied']): boolean {
  if (parameter.in === 'query') return supplied?.query_params?.includes(parameter.name) ?? false;
  const lower = parameter.name.toLowerCase();
  return parameter.in === 'header' && (supplied?.headers?.some((name) => name.toLowerCase() === lower) ?? false);
}

function fieldIssues(given: OperationArguments): Issue[] {
  const unknown = Object.keys(given).filter((field) => !FIELDS.includes(field));
  const issues = unknown.map((field): Issue => {
    const near = nearest(field, FIELDS);
    const meant = near === undefined ? `known are ${choices(FIELDS)}` : `did you mean "${near}"?`;
    return { at: field, message: `is not known here; ${meant}` };
  });
  for (const group of Object.values(GROUPS)) {
    const value: unknown = given[group];
    if (value !== undefined && value !== null && asNode(value) === undefined) {
      issues.push({ at: group, message: `must be an object of names and values; got ${shown(value)}.` });
    }
  }
  return issues;
}

/** Names of the group that the description does not have. Headers may be any: the caller has rules for them. */
function unknownIssues(place: ParameterPlace, parameters: readonly Parameter[], given: OperationArguments): Issue[] {
  if (place === 'header') return [];
  const group = GROUPS[place];
  const known = parameters.filter((parameter) => parameter.in === place).map((parameter) => parameter.name);
  const names = Object.entries(asNode(given[group]) ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  return names.flatMap((name): Issue[] => {
    if (known.includes(name)) return [];
    // `filter[name]`: the members of a deepObject, written out as they go over the wire.
    const parent = name.split('[', 1)[0] ?? '';
    const at = `${group}.${name}`;
    if (name.includes('[') && known.includes(parent)) {
      return [
        { at, message: `is written as a member of the object ${group}.${parent}: {${JSON.stringify(parent)}: {…}}.` },
      ];
    }
    const elsewhere = parameters.find((parameter) => parameter.name === name);
    if (elsewhere !== undefined) return [{ at, message: `belongs into ${GROUPS[elsewhere.in]}.` }];
    const near = nearest(name, known);
    if (near !== undefined) return [{ at, message: `is not known here; did you mean "${near}"?` }];
    const none = `has no ${place} parameters`;
    return [
      { at, message: `is not known here; the operation ${known.length === 0 ? none : `has ${choices(known)}`}.` },
    ];
  });
}

function parameterIssues(parameter: Parameter, given: OperationArguments, document: Document): Issue[] {
  const value = givenFor(parameter, given);
  const at = `${GROUPS[parameter.in]}.${parameter.name}`;
  if (value === undefined) return parameter.required ? [{ at, message: 'is missing.' }] : [];
  const issues = createCheck(document, { wire: !parameter.json })(parameter.schema, value, at);
  return value === '' && parameter.in === 'path' ? [{ at, message: 'must not be empty.' }] : issues;
}

function bodyIssues(view: OperationView, given: OperationArguments, document: Document): Issue[] {
  const { body } = given;
  if (view.body === undefined) {
    return body === undefined || body === null
      ? []
      : [{ at: 'body', message: 'must not be given: the operation has none.' }];
  }
  const chosen = chooseMedia(view.body, given.content_type);
  if ('issue' in chosen) return [chosen.issue];
  if (body === undefined) return view.body.required ? [{ at: 'body', message: 'is missing.' }] : [];
  const shape = shapeIssue(body, chosen.type);
  if (shape !== undefined) return [shape];
  const form = bodyForm(chosen.type);
  // The text of an XML document has another schema than the one it is described by.
  if (form === 'text' || form === 'bytes') return [];
  // The fields of a form are texts on the wire, its multipart files are not.
  return createCheck(document, { wire: form !== 'json' })(chosen.media.schema, body, 'body');
}

/** Deeper values could not be written as JSON; what an API takes is a tenth as deep. */
const MAX_LEVELS = 200;

function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_LEVELS) return true;
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? (Object.values(one) as unknown[]) : []));
  }
  return false;
}

/** Everything that is wrong with the arguments, each with how it is put right. */
export function checkArguments(
  view: OperationView,
  given: OperationArguments,
  document: Document,
  supplied: ParseOptions['supplied'],
): Issue[] {
  if (isTooDeep(given)) return [{ at: '', message: `The arguments are nested more than ${MAX_LEVELS} levels deep.` }];
  const offered = view.parameters.filter((parameter) => !isSupplied(parameter, supplied));
  return [
    ...fieldIssues(given),
    ...PLACES.flatMap((place) => unknownIssues(place, offered, given)),
    ...offered.flatMap((parameter) => parameterIssues(parameter, given, document)),
    ...bodyIssues(view, given, document),
  ].slice(0, MAX_ISSUES);
}
