import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseConnectionConfig } from '../../src/core/connection.ts';
import { loadToolkits, withToolkits } from '../../src/toolkit-modules.ts';
import { builtInToolkits } from '../../src/toolkits/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'mdp-toolkits-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = join(folder, 'config.yaml');
const toolkit = (fields: string) => `export default () => ({ ${fields} });`;
const schema = 'configSchema: { safeParse() {} }';
const whole = (kind: string) => `({ kind: "${kind}", ${schema}, connect() {} })`;

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return `./${name}`;
}

describe('a module of toolkits', () => {
  it('is found relative to the configuration file, and brings one toolkit, several, or a promise of them', async () => {
    const modules = [
      write('one.mjs', `export default () => ${whole('one')};`),
      write('two.mjs', `export default async () => [${whole('two')}, ${whole('three')}];`),
    ];
    const kits = await loadToolkits(builtInToolkits(), modules, config);
    expect(kits.map(({ kind }) => kind)).toEqual(['mcp', 'api', 'one', 'two', 'three']);
  });

  it('makes its schema of what it is given, so that it needs nothing installed', async () => {
    const text = `export default ({ z, sharedConfigShape, checkSharedConfig }) => ({
      kind: 'own',
      configSchema: z.strictObject({ endpoint: z.url(), ...sharedConfigShape }).superRefine(checkSharedConfig),
      connect() {},
    });`;
    const kits = await loadToolkits([], [write('own.mjs', text)], config);
    const schemas = new Map(kits.map(({ kind, configSchema }) => [kind, configSchema]));
    const given = { endpoint: 'https://example.com', auth_mode: 'bearer', colour: 'red' };
    expect(parseConnectionConfig(schemas, 'own', given)).toEqual({
      ok: false,
      issues: [
        { path: 'colour', message: 'is not a known field' },
        { path: 'credential', message: 'is required when auth_mode is bearer' },
      ],
    });
  });

  it.each([
    ['missing', undefined, /cannot be loaded \(Error: Cannot find module/],
    ['syntax', 'export default (', /cannot be loaded \(\w+/],
    ['throws', 'throw new Error("no such disk")', /cannot be loaded \(Error: no such disk\)/],
    ['rejects', 'export default async () => { throw 7; }', /cannot be loaded \(it threw what is no error\)/],
    ['object', 'export default { kind: "x" };', /has no default export that is a function/],
    ['number', 'export default () => 7;', /is not a toolkit/],
    ['kind', toolkit('kind: "A b"'), /needs a kind: 1 to 31/],
    ['schema', toolkit('kind: "ab"'), /\(ab\) needs a configSchema/],
    ['connect', toolkit(`kind: "ab", ${schema}`), /\(ab\) needs a function connect/],
    ['shared', toolkit(`kind: "ab", ${schema}, connect() {}, shared: {}`), /\(ab\) has shared without the name/],
    ['taken', `export default () => ${whole('mcp')};`, /brings the kind mcp, which there is already/],
  ])('that is not right is named, with what is wrong with it: %s', async (name, text, expected) => {
    const path = text === undefined ? './none.mjs' : write(`wrong-${name}.mjs`, text);
    const loading = loadToolkits(builtInToolkits(), [path], config);
    await expect(loading).rejects.toMatchObject({ code: 'invalid_config', message: expect.stringMatching(expected) });
    await expect(loading).rejects.toThrow(`The setting toolkits.0 (${path}) `);
  });

  it('may not bring a kind that another one brings', () => {
    const [mcp] = builtInToolkits();
    expect(() => withToolkits([], [mcp, mcp], 'The toolkit')).toThrow('brings the kind mcp, which there is already.');
  });
});
