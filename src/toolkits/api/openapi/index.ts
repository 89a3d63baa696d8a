import { checkArguments, isSupplied } from './argument-check.ts';
import type {
  BuiltRequest,
  Description,
  Issue,
  JsonSchema,
  Operation,
  OperationArguments,
  OperationDetails,
  ParseDescription,
  ParsedDescription,
  ParseOptions,
  SearchPage,
} from './description.ts';
import { Document, readDocument, versionOf } from './document.ts';
import { type DocumentNode, nodeAt, Sentences, shortened, textAt } from './document-node.ts';
import { argumentsSchema, describeOperation } from './operation-details.ts';
import { type ListedOperation, listOperations } from './operation-list.ts';
import type { OperationView } from './operation-parts.ts';
import { OperationSearch } from './operation-search.ts';
import { viewOperation } from './operation-view.ts';
import { matchTemplate } from './path-template.ts';
import { writeRequest } from './request.ts';

export type * from './description.ts';

const MAX_WARNINGS = 50;
const TITLE_CHARACTERS = 200;

type ReadParts = {
  document: Document;
  options: ParseOptions;
  listed: readonly ListedOperation[];
  search: OperationSearch;
  warnings: readonly string[];
};

class ParsedApi implements Description {
  readonly title: string;
  readonly version: string;
  readonly format: string;
  readonly warnings: readonly string[];
  readonly operations: readonly Operation[];
  readonly #document: Document;
  readonly #options: ParseOptions;
  readonly #listed: readonly ListedOperation[];
  readonly #byId: ReadonlyMap<string, ListedOperation>;
  readonly #views = new WeakMap<ListedOperation, OperationView>();
  readonly #search: OperationSearch;

  constructor({ document, options, listed, search, warnings }: ReadParts) {
    const info = nodeAt(document.root, 'info');
    this.title = shortened(textAt(info, 'title')?.trim() ?? '', TITLE_CHARACTERS);
    this.version = shortened(textAt(info, 'version') ?? '', TITLE_CHARACTERS);
    this.format = document.version.label;
    this.warnings = warnings;
    this.operations = listed.map(({ operation }) => operation);
    this.#document = document;
    this.#options = options;
    this.#listed = listed;
    this.#byId = new Map(listed.map((one) => [one.operation.id, one]));
    this.#search = search;
  }

  find(id: string): Operation | undefined {
    const byId = this.#byId.get(id);
    if (byId !== undefined) return byId.operation;
    const [method = '', ...path] = id.trim().split(/\s+/);
    const wanted = path.join(' ');
    return this.operations.find((one) => one.path === wanted && one.method === method.toUpperCase());
  }

  match(method: string, path: string): Operation | undefined {
    const wanted = method.toUpperCase();
    const bare = path.split(/[?#]/, 1)[0] ?? '';
    let best: { operation: Operation; fits: string } | undefined;
    for (const { operation, template, serverPath } of this.#listed) {
      if (operation.method !== wanted || !bare.startsWith(`${serverPath}/`)) continue;
      const fits = matchTemplate(
        template,
        bare
          .slice(serverPath.length + 1)
          .split('/')
          .map(unescaped),
      );
      if (fits !== undefined && (best === undefined || fits > best.fits)) best = { operation, fits };
    }
    return best?.operation;
  }

  search(query: string, options: { limit: number; cursor?: string }): SearchPage {
    return this.#search.search(query, options);
  }

  describe(operation: Operation, options: { max_bytes?: number } = {}): OperationDetails {
    const { view } = this.#viewed(operation);
    const parameters = view.parameters.filter((one) => !isSupplied(one, this.#options.supplied));
    return describeOperation(operation, { ...view, parameters }, this.#document, options.max_bytes);
  }

  inputSchema(operation: Operation): JsonSchema {
    return argumentsSchema(this.describe(operation));
  }

  validate(operation: Operation, given: OperationArguments): Issue[] {
    return checkArguments(this.#viewed(operation).view, given, this.#document, this.#options.supplied);
  }

  build(operation: Operation, given: OperationArguments): BuiltRequest {
    const issues = this.validate(operation, given);
    if (issues.length > 0) return { ok: false, issues };
    const { listed, view } = this.#viewed(operation);
    return writeRequest(listed, view, given, { document: this.#document, supplied: this.#options.supplied });
  }

  #viewed(operation: Operation): { listed: ListedOperation; view: OperationView } {
    const listed = this.#byId.get(operation.id);
    if (listed === undefined) throw new Error(`The operation ${operation.id} is of another description.`);
    const view = this.#views.get(listed) ?? viewOperation(listed, this.#document);
    this.#views.set(listed, view);
    return { listed, view };
  }
}

function unescaped(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The work of `parseDescription` on what was parsed as JSON or YAML, in steps that take no time. */
export function* describing(root: DocumentNode, options: ParseOptions): Generator<void, ParsedDescription> {
  const version = versionOf(root);
  if (version === undefined) {
    const message = 'The description says neither "openapi": "3…" nor "swagger": "2.0": it is of another format.';
    return { ok: false, issues: [{ at: 'openapi', message }] };
  }
  const document = new Document(root, version);
  const warnings = new Sentences(MAX_WARNINGS);
  if (version.drift !== undefined) warnings.add(version.drift);
  const listed = yield* listOperations(document, options.base_url, warnings);
  if (listed.length === 0) warnings.add('The description has no operations.');
  const search = yield* OperationSearch.of(listed.map(({ operation }) => operation));
  return { ok: true, description: new ParsedApi({ document, options, listed, search, warnings: warnings.list() }) };
}

/**
 * Reads an OpenAPI 3 or Swagger 2.0 description.
 * @see https://spec.openapis.org/oas/v3.1.1 https://spec.openapis.org/oas/v2.0
 */
export const parseDescription: ParseDescription = (text, options) => {
  const read = readDocument(text, options.max_bytes);
  if (!read.ok) return read;
  const work = describing(read.root, options);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
};
