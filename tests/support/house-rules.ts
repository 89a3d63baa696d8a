import { posix } from 'node:path';
import ts from 'typescript';
import { type HouseFile, importCycles, lineOf, readTree, walk } from './house-files.ts';

export type Rule =
  | 'room-import'
  | 'import-cycle'
  | 'environment'
  | 'time'
  | 'randomness'
  | 'network'
  | 'sql'
  | 'any'
  | 'reveal'
  | 'console'
  | 'name'
  | 'file-length'
  | 'function-length'
  | 'unfinished'
  | 'focused-test';

export type Fault = { rule: Rule; file: string; line: number; what: string };
/** Files that a rule leaves alone, each with the reason. */
export type Allowed = Partial<Record<Rule, Record<string, string>>>;

type Room = { rooms: readonly string[]; npm: readonly string[]; node: readonly string[] };

const MCP = ['@modelcontextprotocol/client', '@modelcontextprotocol/core', '@modelcontextprotocol/server'];
const FILES = ['node:fs', 'node:fs/promises', 'node:path'];

/** What each room may import besides itself. */
const ROOMS: Record<string, Room> = {
  core: { rooms: [], npm: ['zod'], node: [] },
  contract: { rooms: ['core'], npm: ['zod'], node: [] },
  flows: { rooms: ['core'], npm: [], node: ['node:util'] },
  db: {
    rooms: ['core'],
    npm: ['kysely', 'pg', '@electric-sql/pglite'],
    node: [...FILES, 'node:child_process', 'node:crypto', 'node:net', 'node:util', 'node:worker_threads', 'node:zlib'],
  },
  oauth: { rooms: ['core'], npm: ['oauth4webapi'], node: ['node:crypto'] },
  toolkits: {
    rooms: ['core'],
    npm: [...MCP, 'eventsource-parser', 're2js', 'yaml', 'zod'],
    node: ['node:worker_threads'],
  },
  mcp: { rooms: ['core', 'flows'], npm: MCP, node: ['node:stream'] },
  http: {
    rooms: ['core', 'flows', 'contract'],
    npm: ['hono', '@hono/zod-openapi', 'zod'],
    node: ['node:crypto', 'node:fs/promises', 'node:path'],
  },
};

const ROOT_NODE = [
  'crypto',
  'dns/promises',
  'events',
  'http',
  'net',
  'os',
  'stream',
  'tls',
  'url',
  'zlib',
  'child_process',
];
/** The root files that the rooms receive as ports: they know core and each other. */
const PORTS: Room = {
  rooms: ['core'],
  npm: ['pino', 'prom-client', 'undici', 'yaml', 'zod'],
  node: [...FILES, ...ROOT_NODE.map((name) => `node:${name}`)],
};
/** The root files that wire: they know every room. */
const WIRING: Room = {
  rooms: Object.keys(ROOMS),
  npm: ['@hono/node-server', 'commander', 'zod'],
  node: PORTS.node,
};
const PORT_FILES = new Set([
  'clock.ts',
  'config-values.ts',
  'config.ts',
  'egress-address.ts',
  'egress-request.ts',
  'egress-tls.ts',
  'egress.ts',
  'key-material.ts',
  'log.ts',
  'metrics.ts',
]);

export const FILE_LINES = 300;
export const FUNCTION_LINES = 60;

const TIMERS = ['setTimeout', 'setInterval', 'setImmediate'];
const GLOBALS = new Map<string, Rule>([
  ...TIMERS.map((name): [string, Rule] => [name, 'time']),
  ['fetch', 'network'],
  ['console', 'console'],
]);
const TELLERS = ['Date.now', 'performance.now', 'performance.timeOrigin', 'AbortSignal.timeout', 'process.hrtime'];
const DICE = ['randomBytes', 'randomUUID', 'randomInt', 'randomFill', 'randomFillSync', 'getRandomValues'];
const UNNAMED = /^(?:utils?|commons?|helpers?|shared)$/;
const KEBAB = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.(?:ts|tsx|js|mjs)$/;
const UNFINISHED = /\b(?:TO[D]O|FIX[M]E)\b/;

const inProduct = (path: string) => path.startsWith('src/') || path.startsWith('portal/src/');

/** The room of a path below `src`: a folder's name, or '' for a root file. */
function roomOf(path: string): string {
  const [, first = '', ...rest] = path.split('/');
  return rest.length > 0 ? first : '';
}

function mayImportModule(room: Room, module: string): boolean {
  if (module.startsWith('node:')) return room.node.includes(module);
  return room.npm.some((name) => module === name || module.startsWith(`${name}/`));
}

function mayImportFile(path: string, target: string): boolean {
  if (!target.startsWith('src/')) return false;
  const [from, to] = [roomOf(path), roomOf(target)];
  if (from !== '') return to === from || (ROOMS[from]?.rooms.includes(to) ?? false);
  if (!PORT_FILES.has(posix.basename(path))) return true;
  return to === 'core' || (to === '' && PORT_FILES.has(posix.basename(target)));
}

function importFaults({ path, imports }: HouseFile): Fault[] {
  const wrong = imports.filter(({ target, inside }) => {
    if (path.startsWith('portal/')) {
      return inside ? !/^(?:portal\/src|src\/contract)\//.test(target) : target.startsWith('node:');
    }
    if (inside) return !mayImportFile(path, target);
    const room = roomOf(path);
    const rootFile = PORT_FILES.has(posix.basename(path)) ? PORTS : WIRING;
    const allowed = room === '' ? rootFile : ROOMS[room];
    return allowed === undefined || !mayImportModule(allowed, target);
  });
  return wrong.map(({ target, line }) => ({ rule: 'room-import', file: path, line, what: `imports ${target}` }));
}

/** Whether a file or one of the functions around `node` declares or receives this name, so that it is not the global. */
function isDeclared(node: ts.Node, name: string): boolean {
  for (let scope: ts.Node | undefined = node.parent; scope; scope = scope.parent) {
    if (!ts.isFunctionLike(scope) && !ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    let found = false;
    const look = (child: ts.Node): void => {
      const declares = ts.isParameter(child) || ts.isVariableDeclaration(child) || ts.isBindingElement(child);
      if ((declares || ts.isImportSpecifier(child)) && child.name.getText() === name) found = true;
      if (ts.isFunctionDeclaration(child) && child.name?.text === name) found = true;
      // What an inner function declares is not in scope here.
      if (child !== scope && (ts.isFunctionLike(child) || ts.isBlock(child))) return;
      ts.forEachChild(child, look);
    };
    look(scope);
    if (found) return true;
  }
  return false;
}

/** Whether the identifier stands for a value in an expression: not a property's name, a declaration or a type. */
function isValue(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent)) return parent.initializer === node;
  return ts.isExpression(parent) || ts.isShorthandPropertyAssignment(parent) || ts.isStatement(parent);
}

/** The rules that a single node of a product file can break. */
function ruleBrokenBy(node: ts.Node): Rule | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return 'any';
  if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'sql') return 'sql';
  if (ts.isNewExpression(node)) {
    return node.expression.getText() === 'Date' && !node.arguments?.length ? 'time' : undefined;
  }
  if (ts.isImportSpecifier(node)) {
    return DICE.includes((node.propertyName ?? node.name).getText()) ? 'randomness' : undefined;
  }
  if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) return ruleBrokenByAccess(node);
  const rule = ts.isIdentifier(node) ? GLOBALS.get(node.text) : undefined;
  if (rule === undefined || !ts.isIdentifier(node) || !isValue(node)) return undefined;
  return isDeclared(node, node.text) ? undefined : rule;
}

function ruleBrokenByAccess(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): Rule | undefined {
  const object = node.expression.getText();
  const key = ts.isPropertyAccessExpression(node) ? node.name.text : node.argumentExpression.getText().slice(1, -1);
  const path = `${object}.${key}`;
  if (path === 'process.env') return 'environment';
  if (TELLERS.includes(path)) return 'time';
  if (path === 'Math.random' || DICE.includes(key)) return 'randomness';
  if (object === 'globalThis' && TIMERS.includes(key)) return 'time';
  if (path === 'globalThis.fetch') return 'network';
  return key === 'reveal' ? 'reveal' : undefined;
}

function nodeFaults({ path, source }: HouseFile): Fault[] {
  const faults: Fault[] = [];
  walk(source, (node) => {
    const rule = ruleBrokenBy(node);
    if (rule === undefined || (rule === 'sql' && roomOf(path) === 'db')) return;
    faults.push({ rule, file: path, line: lineOf(source, node), what: node.getText().split('\n')[0] ?? '' });
  });
  return faults;
}

function lineCount(source: ts.SourceFile, node: ts.Node): number {
  return source.getLineAndCharacterOfPosition(node.getEnd()).line + 2 - lineOf(source, node);
}

/** The name by which a function is called; a callback has none. */
function functionName(node: ts.Node): string | undefined {
  if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined;
  if (node.name) return node.name.getText();
  const { parent } = node;
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) ? parent.name.getText() : undefined;
}

/** A function's lines without those of the named functions in it: each of them is a function of its own. */
function ownLines(source: ts.SourceFile, node: ts.Node): number {
  let inner = 0;
  const look = (child: ts.Node): void => {
    if (functionName(child) === undefined) ts.forEachChild(child, look);
    else inner += lineCount(source, child);
  };
  ts.forEachChild(node, look);
  return lineCount(source, node) - inner;
}

function lengthFaults({ path, source, text }: HouseFile): Fault[] {
  const faults: Fault[] = [];
  const lines = text.trimEnd().split('\n').length;
  if (lines > FILE_LINES) faults.push({ rule: 'file-length', file: path, line: 1, what: `${lines} lines` });
  walk(source, (node) => {
    if (!ts.isFunctionLike(node) || lineCount(source, node) <= FUNCTION_LINES) return;
    if (ownLines(source, node) <= FUNCTION_LINES) return;
    const what = `${functionName(node) ?? 'a callback'} has ${ownLines(source, node)} lines of its own`;
    faults.push({ rule: 'function-length', file: path, line: lineOf(source, node), what });
  });
  return faults;
}

function nameFaults({ path }: HouseFile): Fault[] {
  const segments = path.replace(/\.[a-z.]+$/, '').split('/');
  const bad = segments.some((segment) => UNNAMED.test(segment)) || !KEBAB.test(posix.basename(path));
  return bad ? [{ rule: 'name', file: path, line: 1, what: path }] : [];
}

function textFaults({ path, text }: HouseFile): Fault[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      UNFINISHED.test(line) ? [{ rule: 'unfinished' as const, file: path, line: index + 1, what: line.trim() }] : [],
    );
}

function focusFaults({ path, source }: HouseFile): Fault[] {
  const faults: Fault[] = [];
  walk(source, (node) => {
    if (!ts.isPropertyAccessExpression(node) || !/^(?:only|skip|todo)$/.test(node.name.text)) return;
    if (!/^(?:it|test|describe|suite)\b/.test(node.expression.getText())) return;
    faults.push({ rule: 'focused-test', file: path, line: lineOf(source, node), what: node.getText() });
  });
  return faults;
}

/** Everything in the tree at `root` that breaks a rule of the house. */
export function houseFaults(root: string): Fault[] {
  const files = readTree(root, ['src', 'portal/src', 'tests', 'scripts', 'examples']);
  const product = files.filter(({ path }) => inProduct(path));
  const tests = files.filter(({ path }) => path.startsWith('tests/'));
  const cycles = importCycles(product).map((cycle): Fault => {
    return { rule: 'import-cycle', file: cycle[0] ?? '', line: 1, what: cycle.join(' → ') };
  });
  return [
    ...product.flatMap((file) => [...importFaults(file), ...nodeFaults(file), ...lengthFaults(file)]),
    ...cycles,
    ...files.flatMap((file) => [...nameFaults(file), ...textFaults(file)]),
    ...tests.flatMap(focusFaults),
  ];
}
