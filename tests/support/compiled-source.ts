import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The source as plain Node runs it, for tests that need a process of their own to kill. It lies below `node_modules`,
 * so that the dependencies are found.
 */
export function compileSource(): { url(file: string): string; remove(): void } {
  const cache = join(ROOT, 'node_modules/.cache/mcp-data-platform');
  mkdirSync(cache, { recursive: true });
  const target = mkdtempSync(join(cache, 'source-'));
  for (const name of ['clock.ts', 'core', 'db']) compile(join(ROOT, 'src', name), join(target, name));
  writeFileSync(join(target, 'package.json'), '{"type":"module"}');
  return {
    url: (file) => pathToFileURL(join(target, file)).href,
    remove: () => rmSync(target, { recursive: true, force: true }),
  };
}

function compile(source: string, target: string): void {
  if (source.endsWith('.ts')) {
    const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
      },
    });
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target.replace(/\.ts$/, '.js'), outputText);
  } else if (source.endsWith('.js')) {
    cpSync(source, target);
  } else {
    for (const name of readdirSync(source)) compile(join(source, name), join(target, name));
  }
}
