import { FIELD_VALUE } from '../../../core/plain-headers.ts';
import { GROUPS, givenFor, isSupplied } from './argument-check.ts';
import type { BuiltRequest, Issue, OperationArguments, ParseOptions, RequestParts } from './description.ts';
import type { Document } from './document.ts';
import { asNode } from './document-node.ts';
import type { ListedOperation } from './operation-list.ts';
import type { OperationView, Parameter } from './operation-parts.ts';
import { encoded, headerText, pathText, plainText, queryPairs } from './parameter-text.ts';
import type { Segment } from './path-template.ts';
import { chooseMedia, writeBody } from './request-body.ts';

const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

/** A literal text of the template: what is already encoded stays so. `@` would be read as a user by the path rules. */
function literal(text: string): string {
  const escapes = /%[0-9A-Fa-f]{2}/g;
  let written = '';
  let at = 0;
  for (const match of text.matchAll(escapes)) {
    written += literalPiece(text.slice(at, match.index)) + match[0];
    at = match.index + match[0].length;
  }
  return written + literalPiece(text.slice(at));
}

/** The sub-delimiters and the colon may stand in a segment. @see https://www.rfc-editor.org/rfc/rfc3986#section-3.3 */
function literalPiece(text: string): string {
  return encoded(text).replace(/%(?:3A|21|24|26|27|28|29|2A|2B|2C|3B|3D)/g, (triplet) => decodeURIComponent(triplet));
}

function isDots(segment: string): boolean {
  const dots = segment.replace(/%2e/gi, '.');
  return dots === '.' || dots === '..';
}

type Filled = { path: string } | { issue: Issue };

/** What a value may keep of the reserved characters, slashes first of all: neither ends a path nor names a user. */
function unreserved(text: string): string {
  return text.replace(/%(?:2F|3A|21|24|26|27|28|29|2A|2B|2C|3B|3D)/g, (triplet) => decodeURIComponent(triplet));
}

function filledSegment(
  segment: Segment,
  parameters: ReadonlyMap<string, Parameter>,
  given: OperationArguments,
): string {
  const parts = segment.map((part) => {
    if (typeof part === 'string') return literal(part);
    const parameter = parameters.get(part.parameter);
    const value = parameter === undefined ? undefined : givenFor(parameter, given);
    if (parameter === undefined || value === undefined) return '';
    const text = parameter.json ? encoded(JSON.stringify(value)) : pathText(parameter.name, value, parameter);
    return part.reserved || parameter.allowReserved ? unreserved(text) : text;
  });
  return parts.join('');
}

function filledPath(listed: ListedOperation, view: OperationView, given: OperationArguments): Filled {
  const parameters = new Map(view.parameters.filter(({ in: place }) => place === 'path').map((one) => [one.name, one]));
  const segments: string[] = [];
  for (const [index, segment] of listed.template.segments.entries()) {
    const text = filledSegment(segment, parameters, given);
    const named = segment.find((part) => typeof part !== 'string');
    const last = index === listed.template.segments.length - 1;
    const wrong = text.split('/').find((piece) => isDots(piece) || (piece === '' && !(last && named === undefined)));
    if (wrong !== undefined) {
      const at = typeof named === 'object' ? `${GROUPS.path}.${named.parameter}` : 'path_params';
      const message = `would make the path segment "${wrong}", which names another place than described.`;
      return { issue: { at, message } };
    }
    segments.push(text);
  }
  const server = listed.serverPath.split('/').map(literal);
  if (server.some(isDots))
    return { issue: { at: '', message: 'The description’s server path leaves base_url: it is not called.' } };
  return { path: `${server.join('/')}/${segments.join('/')}` };
}

function queryOf(listed: ListedOperation, view: OperationView, given: OperationArguments): RequestParts['query'] {
  const fixed = listed.template.query.map(([name, value]): [string, string] => [encoded(name), encoded(value)]);
  const described = view.parameters.flatMap((parameter) => {
    if (parameter.in !== 'query') return [];
    const value = givenFor(parameter, given);
    if (value === undefined) return [];
    return queryPairs(parameter.name, parameter.json ? JSON.stringify(value) : value, parameter);
  });
  return [...fixed, ...described];
}

/** Described headers by their style, others as plain texts. */
function headersOf(
  view: OperationView,
  given: OperationArguments,
): { headers: Record<string, string> } | { issue: Issue } {
  const described = new Map(
    view.parameters.filter(({ in: place }) => place === 'header').map((one) => [one.name.toLowerCase(), one]),
  );
  const headers: [string, string][] = [];
  for (const [name, value] of Object.entries(asNode(given.headers) ?? {})) {
    if (value === undefined || value === null) continue;
    const lower = name.toLowerCase();
    // The body decides; another one would contradict it.
    if (lower === 'content-type') continue;
    const parameter = described.get(lower);
    const text = parameter?.json ? JSON.stringify(value) : headerText(value, parameter?.explode ?? false);
    const at = `${GROUPS.header}.${name}`;
    if (!HEADER_NAME.test(name)) return { issue: { at, message: 'is not a name of a header.' } };
    if (!FIELD_VALUE.test(text)) {
      return {
        issue: { at, message: 'must be one line of Latin letters, digits and signs; encode other characters.' },
      };
    }
    headers.push([lower, text]);
  }
  const cookies = view.parameters.flatMap((parameter) => {
    const value = parameter.in === 'cookie' ? givenFor(parameter, given) : undefined;
    if (value === undefined) return [];
    return queryPairs(parameter.name, parameter.json ? plainText(JSON.stringify(value)) : value, parameter);
  });
  if (cookies.length > 0) headers.push(['cookie', cookies.map((pair) => pair.join('=')).join('; ')]);
  return { headers: Object.fromEntries(headers) };
}

/** The request of arguments that were checked; places that no schema guards are guarded here. */
export function writeRequest(
  listed: ListedOperation,
  view: OperationView,
  given: OperationArguments,
  context: { document: Document; supplied: ParseOptions['supplied'] },
): BuiltRequest {
  const offered = { ...view, parameters: view.parameters.filter((one) => !isSupplied(one, context.supplied)) };
  const filled = filledPath(listed, offered, given);
  if ('issue' in filled) return { ok: false, issues: [filled.issue] };
  const written = headersOf(offered, given);
  if ('issue' in written) return { ok: false, issues: [written.issue] };
  const request: RequestParts = {
    method: listed.operation.method,
    path: filled.path,
    query: queryOf(listed, offered, given),
    headers: written.headers,
  };
  if (view.body === undefined || given.body === undefined) return { ok: true, request };
  const chosen = chooseMedia(view.body, given.content_type);
  if ('issue' in chosen) return { ok: false, issues: [chosen.issue] };
  return { ok: true, request: { ...request, ...writeBody(given, chosen, context.document) } };
}
