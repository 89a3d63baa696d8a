// Coverage of the lines that were added since a base revision: node scripts/changed-lines.mjs [base]
// Reads coverage/coverage-final.json, prints what no test reached, and fails below 80 %.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { relative, sep } from 'node:path';
import { fail, ROOT } from './prepare.mjs';

const MINIMUM_PERCENT = 80;
/** What `git diff` compares with when a repository has neither a base nor a first revision to name. */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const REPORT = 'coverage/coverage-final.json';

/** Files whose lines run where the coverage of this process does not see them. */
const NOT_SEEN = new Map([
  ['src/cli.ts', 'runs as a process of its own in the end-to-end tests'],
  ['src/demo.ts', 'runs as a process of its own in the tests of the demo'],
  ['src/db/embedded/worker.js', 'runs in a worker thread, which v8 coverage does not follow'],
  ['src/db/embedded/durable-file-system.js', 'runs in that worker thread'],
  ['src/toolkits/api/openapi/description-worker.js', 'runs in a worker thread'],
]);

/** @typedef {{ start: { line: number }, end: { line: number } }} Range */
/** @typedef {{ path: string, statementMap: Record<string, Range>, s: Record<string, number> }} FileCoverage */

/** @param {string[]} args the output of git, or undefined when it fails */
function git(args) {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 });
  return status === 0 ? stdout : undefined;
}

/** The revision given, else the merge base with origin/main, else the empty tree, so that every line counts. */
function baseRevision() {
  const given = process.argv[2];
  if (given === undefined) return git(['merge-base', 'HEAD', 'origin/main'])?.trim() || EMPTY_TREE;
  return git(['rev-parse', '--verify', '--quiet', given])?.trim() ?? fail(`There is no revision ${given}.`);
}

/**
 * The numbers of the lines of `src` that were added since `base`, by file; files that git does not know count whole.
 * @param {string} base
 */
function addedLines(base) {
  const diff = git(['diff', '--unified=0', '--no-color', '--no-ext-diff', '--no-renames', base, '--', 'src']);
  if (diff === undefined) return fail(`git cannot compare the working tree with ${base}.`);
  /** @type {Map<string, Set<number>>} */
  const added = new Map();
  let file = '';
  for (const line of diff.split('\n')) {
    if (line.startsWith('+++ ')) file = line.replace(/^\+\+\+ (?:b\/)?/, '');
    const hunk = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (!hunk || file === '/dev/null') continue;
    const lines = added.get(file) ?? new Set();
    for (let offset = 0; offset < Number(hunk[2] ?? 1); offset += 1) lines.add(Number(hunk[1]) + offset);
    added.set(file, lines);
  }
  for (const path of (git(['ls-files', '--others', '--exclude-standard', 'src']) ?? '').split('\n')) {
    if (path === '') continue;
    const count = readFileSync(`${ROOT}/${path}`, 'utf8').split('\n').length;
    added.set(path, new Set(Array.from({ length: count }, (_none, index) => index + 1)));
  }
  return added;
}

/**
 * The lines on which a statement begins, and whether any of them ran: what lcov counts.
 * @param {FileCoverage} coverage
 */
function linesOf(coverage) {
  /** @type {Map<number, boolean>} */
  const lines = new Map();
  for (const [id, { start }] of Object.entries(coverage.statementMap)) {
    lines.set(start.line, (lines.get(start.line) ?? false) || (coverage.s[id] ?? 0) > 0);
  }
  return lines;
}

/** @param {number[]} lines ascending */
function ranges(lines) {
  /** @type {[number, number][]} */
  const found = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last && line === last[1] + 1) last[1] = line;
    else found.push([line, line]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
}

if (!existsSync(`${ROOT}/${REPORT}`)) fail(`${REPORT} is missing: run npm test -- --coverage first.`);
/** @type {Record<string, FileCoverage>} */
const report = JSON.parse(readFileSync(`${ROOT}/${REPORT}`, 'utf8'));
const covered = new Map(
  Object.values(report).map((file) => [relative(ROOT, file.path).split(sep).join('/'), linesOf(file)]),
);
const base = baseRevision();
let total = 0;
let reached = 0;
for (const [file, added] of addedLines(base)) {
  if (NOT_SEEN.has(file)) continue;
  const lines = [...(covered.get(file) ?? [])].filter(([line]) => added.has(line)).sort(([a], [b]) => a - b);
  const missed = lines.filter(([, ran]) => !ran).map(([line]) => line);
  total += lines.length;
  reached += lines.length - missed.length;
  if (missed.length > 0) console.log(`  ${file}: ${ranges(missed)}`);
}
const percent = total === 0 ? 100 : (100 * reached) / total;
const summary = `${percent.toFixed(1)} % of ${total} changed lines are covered (since ${base.slice(0, 12)})`;
if (percent < MINIMUM_PERCENT) fail(`${summary}; at least ${MINIMUM_PERCENT} % are needed.`);
console.log(`${summary}.`);
