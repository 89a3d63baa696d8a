import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import ts from 'typescript';

/** One file of a tree, read and parsed: `path` is relative to the tree and written with `/`. */
export type HouseFile = { path: string; text: string; source: ts.SourceFile; imports: readonly HouseImport[] };
/** One import, dynamic and type-only ones too: `target` is a path of the tree, or the module as it is written. */
export type HouseImport = { target: string; inside: boolean; line: number };

const CODE = /\.(?:ts|tsx|js|mjs)$/;
const NOT_OURS = new Set(['node_modules', 'dist', 'fixtures', 'coverage']);

export function lineOf(source: ts.SourceFile, node: ts.Node): number {
  return source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
}

/** Calls `visit` for `node` and everything below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** The text of the module that `node` imports, re-exports or imports dynamically; undefined when it does neither. */
function specifierOf(node: ts.Node): string | undefined {
  const isDeclaration = ts.isImportDeclaration(node) || ts.isExportDeclaration(node);
  if (isDeclaration && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier))
    return node.moduleSpecifier.text;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return node.argument.literal.text;
  }
  const [argument] = ts.isCallExpression(node) ? node.arguments : [];
  if (!ts.isCallExpression(node) || argument === undefined || !ts.isStringLiteral(argument)) return undefined;
  const callee = node.expression;
  const loads = callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require');
  return loads ? argument.text : undefined;
}

function importsOf(path: string, source: ts.SourceFile): HouseImport[] {
  const found: HouseImport[] = [];
  walk(source, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const inside = specifier.startsWith('.');
    const target = inside ? posix.join(posix.dirname(path), specifier) : specifier;
    found.push({ target, inside, line: lineOf(source, node) });
  });
  return found;
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesBelow(join(folder, entry.name));
    return CODE.test(entry.name) ? [join(folder, entry.name)] : [];
  });
}

/** Reads every code file below the given folders of the tree at `root`. */
export function readTree(root: string, folders: readonly string[]): HouseFile[] {
  return folders
    .flatMap((folder) => filesBelow(join(root, folder)))
    .map((file) => {
      const path = relative(root, file).split(sep).join('/');
      const text = readFileSync(file, 'utf8');
      const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
      return { path, text, source, imports: importsOf(path, source) };
    });
}

/** Every cycle of imports inside the tree, once, as the list of its files. */
export function importCycles(files: readonly HouseFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const cycles: string[][] = [];
  const follow = (path: string, trail: string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) return void cycles.push(trail.slice(start));
    if (done.has(path)) return;
    for (const { target, inside } of byPath.get(path)?.imports ?? []) {
      if (inside && byPath.has(target)) follow(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const { path } of files) follow(path, []);
  return cycles;
}
