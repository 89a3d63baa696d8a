// Loaded with --import before the conformance suite: it imports `globSync` from node:fs, which came with Node 22, and so
// does not start on Node 20. The commands that the tests use never call it.
import { register } from 'node:module';

const hooks = `
const SHIM = 'mcp-conformance:fs';
export async function resolve(specifier, context, next) {
  const builtin = specifier === 'fs' || specifier === 'node:fs';
  const suite = context.parentURL?.includes('/node_modules/@modelcontextprotocol/conformance/');
  return builtin && suite ? { url: SHIM, format: 'module', shortCircuit: true } : next(specifier, context);
}
export async function load(url, context, next) {
  if (url !== SHIM) return next(url, context);
  const source = \`
    import fs from 'node:fs';
    export * from 'node:fs';
    export default fs;
    export function globSync() { throw new Error('not available on this Node'); }\`;
  return { format: 'module', source, shortCircuit: true };
}`;
if (!('globSync' in process.getBuiltinModule('node:fs'))) {
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}
