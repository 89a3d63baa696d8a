import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export type CompiledSource = { url(file: string): string; remove(): void };

/** Text of one file that is another in the copy. It must be there exactly once: a rule that moved is not dropped. */
export type Patch = { file: string; find: string; replace: string };

function emptyFolder(): string {
  const cache = join(ROOT, 'node_modules/.cache/mcp-data-platform');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'source-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return folder;
}

const at = (folder: string): CompiledSource => ({
  url: (file) => pathToFileURL(join(folder, file)).href,
  remove: () => rmSync(folder, { recursive: true, force: true }),
});

/**
 * The source as plain Node runs it, for tests that need a process of their own to kill. It lies below `node_modules`,
 * so that the dependencies are found.
 */
export function compileSource(): CompiledSource {
  const folder = emptyFolder();
  for (const name of ['clock.ts', 'core', 'db']) compile(join(ROOT, 'src', name), join(folder, name));
  return at(folder);
}

/**
 * Copies of the rooms that the simulation runs on, each with rules of its own dropped: the product has no switch for that.
 * @param folders relative to the repository, and kept so in the copy
 */
export function createPatcher(folders: readonly string[]): {
  patched(patches: readonly Patch[]): CompiledSource;
  remove(): void;
} {
  const whole = emptyFolder();
  for (const folder of folders) compile(join(ROOT, folder), join(whole, folder));
  return {
    patched(patches) {
      const texts = new Map<string, string>();
      for (const { file, find, replace } of patches) {
        const text = texts.get(file) ?? readFileSync(join(ROOT, file), 'utf8');
        const found = text.split(find).length - 1;
        if (found !== 1) throw new Error(`${file} holds this text ${found} times, not once: ${find}`);
        texts.set(
          file,
          text.replace(find, () => replace),
        );
      }
      const folder = emptyFolder();
      cpSync(whole, folder, { recursive: true });
      for (const [file, text] of texts) write(join(folder, file), text);
      return at(folder);
    },
    remove: () => rmSync(whole, { recursive: true, force: true }),
  };
}

function write(target: string, text: string): void {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target.replace(/\.ts$/, '.js'), outputText);
}

function compile(source: string, target: string): void {
  if (source.endsWith('.test.ts')) return;
  if (source.endsWith('.ts')) write(target, readFileSync(source, 'utf8'));
  else if (/\.m?js$/.test(source)) cpSync(source, target);
  else for (const name of readdirSync(source)) compile(join(source, name), join(target, name));
}
