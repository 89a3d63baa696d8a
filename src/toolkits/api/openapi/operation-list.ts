import type { Operation } from './description.ts';
import type { Document } from './document.ts';
import {
  asNode,
  type DocumentNode,
  entriesAt,
  flagAt,
  listAt,
  nodeAt,
  type Sentences,
  shortened,
  textAt,
} from './document-node.ts';
import { type PathTemplate, readTemplate } from './path-template.ts';
import { ownServerPath, rootServerPath, type ServerPath } from './server-path.ts';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace', 'query'];
const SUMMARY_CHARACTERS = 300;
/** Twice what the largest known API has. Each costs a kilobyte, and 32 MiB have room for two million. */
const MAX_OPERATIONS = 20_000;

/** An operation together with where its text lies in the document. */
export type ListedOperation = {
  operation: Operation;
  node: DocumentNode;
  pathItem: DocumentNode;
  template: PathTemplate;
  /** From `base_url` to the path. */
  serverPath: string;
  /** What of the operation's own server is not followed. */
  drift: string | undefined;
};

function summaryOf(node: DocumentNode, pathItem: DocumentNode): string {
  const own = textAt(node, 'summary') ?? textAt(pathItem, 'summary') ?? textAt(node, 'description') ?? '';
  return shortened(own.trim().split('\n', 1)[0] ?? '', SUMMARY_CHARACTERS);
}

function tagsOf(node: DocumentNode): string[] {
  return listAt(node, 'tags').flatMap((tag) => {
    // Swagger 1 habits: a tag written as the object that defines it.
    const name = typeof tag === 'string' ? tag : textAt(tag, 'name');
    return name === undefined ? [] : [name];
  });
}

/** Gives out every id once. */
class Ids {
  readonly #taken = new Set<string>();
  readonly #warnings: Sentences;

  constructor(warnings: Sentences) {
    this.#warnings = warnings;
  }

  take(wanted: string, where: string): string {
    let id = wanted;
    for (let copy = 2; this.#taken.has(id); copy += 1) id = `${wanted}#${copy}`;
    if (id !== wanted)
      this.#warnings.add(`operationId "${wanted}" is used more than once: ${where} is called "${id}".`);
    this.#taken.add(id);
    return id;
  }
}

function idOf(node: DocumentNode, method: string, path: string): string {
  const own = textAt(node, 'operationId')?.trim();
  return own === undefined || own === '' ? `${method} ${path}` : own;
}

/** Every operation of the description, in its order, path by path; what cannot be one is left out and told. */
export function* listOperations(
  document: Document,
  baseUrl: string,
  warnings: Sentences,
): Generator<void, ListedOperation[]> {
  const ids = new Ids(warnings);
  const root = rootServerPath(document.root, document.version.major, baseUrl);
  if (root.drift !== undefined) warnings.add(root.drift);
  const serverOf = (node: DocumentNode, fallback: ServerPath, where: string): ServerPath => {
    const own = ownServerPath(node, baseUrl);
    if (own?.drift !== undefined) warnings.add(`${where}: ${own.drift}`);
    return own ?? fallback;
  };
  const listed: ListedOperation[] = [];
  for (const [rawPath, value] of entriesAt(document.root, 'paths')) {
    yield;
    if (rawPath.startsWith('x-')) continue;
    const path = rawPath.startsWith('/') ? rawPath : `/${rawPath}`;
    if (path !== rawPath) warnings.add(`The path "${rawPath}" does not begin with a slash: it is read as "${path}".`);
    const { value: resolved, problem } = document.resolve(value);
    const pathItem = asNode(resolved);
    if (pathItem === undefined) {
      warnings.add(`The path ${path} is left out: ${problem ?? 'it is not an object'}.`);
      continue;
    }
    const template = readTemplate(path);
    const pathServer = serverOf(pathItem, root, path);
    for (const key of Object.keys(pathItem)) {
      if (!METHODS.includes(key.toLowerCase())) continue;
      const method = key.toUpperCase();
      const node = nodeAt(pathItem, key);
      if (node === undefined) {
        warnings.add(`${method} ${path} is left out: it is not an object.`);
        continue;
      }
      const operation: Operation = {
        id: ids.take(idOf(node, method, path), `${method} ${path}`),
        method,
        path,
        summary: summaryOf(node, pathItem),
        tags: tagsOf(node),
        deprecated: flagAt(node, 'deprecated'),
      };
      if (listed.length === MAX_OPERATIONS) {
        warnings.add(`Only the first ${MAX_OPERATIONS} operations are listed.`);
        return listed;
      }
      const { path: serverPath, drift } = serverOf(node, pathServer, `${method} ${path}`);
      // The whole description's own is told once, by the Test.
      const own = drift === root.drift ? undefined : drift;
      listed.push({ operation, node, pathItem, template, serverPath, drift: own });
    }
  }
  return listed;
}
