import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import type { Log, ToolkitConnection, ToolkitContext } from '../../src/core/ports.ts';
import { builtInToolkits } from '../../src/toolkits/index.ts';
import { connection as connectionOf, fetchPort, silentLog } from '../mcp/gateway.ts';
import { programs } from '../mcp/upstreams.ts';
import { aCall, openUpstream } from './mcp-context.ts';

/** An MCP server in a few lines: it writes its pid, speaks the legacy era, and ends when told to. */
const SERVER = `
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
appendFileSync(process.argv[2], process.pid + '\\n');
process.stderr.write('started with ' + process.env.THEIR_TOKEN + '\\u0007\\n');
const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === 'server/discover') return send({ id, error: { code: -32601, message: 'Method not found' } });
  if (method === 'initialize') {
    return send({ id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } } });
  }
  if (method === 'tools/call' && params.name === 'crash') process.exit(7);
  if (method === 'tools/call' && params.name === 'garbage') process.stdout.write('this is no JSON\\n{"jsonrpc":"2.0","id":{}}\\n');
  if (id !== undefined) send({ id, result: { content: [], env: process.env } });
});
`;

let folder: string;
let pids: string;
const opened: ToolkitConnection[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'program-'));
  pids = join(folder, 'pids');
  await writeFile(join(folder, 'server.mjs'), SERVER);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await rm(folder, { recursive: true, force: true });
});

function open(more: Partial<ToolkitContext> = {}): ToolkitConnection {
  const config = {
    command: process.execPath,
    args: [join(folder, 'server.mjs'), pids],
    env: { THEIR_TOKEN: 'value-of-theirs' },
  };
  const connection = openUpstream(config, more);
  opened.push(connection);
  return connection;
}

const started = async (): Promise<number[]> => (await readFile(pids, 'utf8')).trim().split('\n').map(Number);
const call = (connection: ToolkitConnection, name: string) =>
  connection.request('tools/call', { name, arguments: {} }, aCall());
const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a program of this server', () => {
  it('gets the environment that its configuration gives it, and nothing of ours', async () => {
    process.env.OUR_ENCRYPTION_KEY = 'ours';
    try {
      const { env } = (await call(open(), 'env')) as { env: Record<string, string> };
      expect(env.THEIR_TOKEN).toBe('value-of-theirs');
      expect(
        Object.keys(env).filter((name) => !['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'].includes(name)),
      ).toEqual(['THEIR_TOKEN']);
    } finally {
      delete process.env.OUR_ENCRYPTION_KEY;
    }
  });

  it('that ends in the midst of a call says so, and is started again for the next', async () => {
    const connection = open();
    const changed = vi.fn();
    connection.onChange(changed);
    await expect(call(connection, 'crash')).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('may have been carried out'),
    });
    expect(changed).toHaveBeenCalled();
    await expect(call(connection, 'fine')).resolves.toMatchObject({ content: [] });
  });

  it('that keeps ending is started again after growing pauses, and the caller is told when', async () => {
    let now = 0;
    const clock = { ...systemClock, monotonic: () => now };
    const connection = open({ clock, random: { ...systemRandom, fraction: () => 0.5 } });
    const outcomes: unknown[] = [];
    for (let time = 0; time < 7; time += 1) {
      now += 4_000;
      outcomes.push(await call(connection, 'crash').catch((error: { code: string }) => error.code));
    }
    expect(outcomes).toContain('unavailable');
    now += 120_000;
    await expect(call(connection, 'fine')).resolves.toMatchObject({ content: [] });
  }, 20_000);

  it('ends with its connection', async () => {
    const connection = open();
    await call(connection, 'fine');
    await connection.close();
    for (const pid of await started()) await vi.waitFor(() => expect(alive(pid)).toBe(false), 5_000);
  });

  it('may write what is no MCP without harm, and its standard error is in the log without its secrets', async () => {
    const lines: string[] = [];
    const debug: Log['debug'] = (_message, fields) =>
      void (typeof fields?.line === 'string' && lines.push(fields.line));
    const connection = open({ log: { ...silentLog, debug } });
    await expect(call(connection, 'garbage')).resolves.toMatchObject({ content: [] });
    await vi.waitFor(() => expect(lines).toEqual(['started with [REDACTED] ']));
  });

  it('that is not there is told so, with what to check', async () => {
    const connection = openUpstream({ command: join(folder, 'nothing-here') });
    opened.push(connection);
    await expect(call(connection, 'fine')).rejects.toMatchObject({
      code: 'upstream_unreachable',
      message: expect.stringContaining('Check command and cwd'),
    });
  });

  it("is run only as this process's configuration file declares it, whatever a database says", async () => {
    const config = { auth_mode: 'none', ...programs.memory(join(folder, 'memory.jsonl')) };
    const declared = [{ kind: 'mcp', name: 'up', config }];
    const context = (changed: Record<string, unknown>, name = 'up') => {
      const { key, config: parsed } = connectionOf(name, { ...config, ...changed });
      const ports = { fetch: fetchPort, log: silentLog, clock: systemClock, random: systemRandom };
      return { key, config: parsed, ...ports, accessToken: vi.fn(), authEvents: { append: vi.fn() } };
    };
    const [toolkit] = builtInToolkits({ declared }).filter(({ kind }) => kind === 'mcp');
    const open = (changed: Record<string, unknown>, name?: string) => {
      const connection = toolkit?.connect(context(changed, name)) as ToolkitConnection;
      opened.push(connection);
      return connection.request('tools/list', {}, aCall());
    };
    expect((await open({})).tools).toHaveLength(9);
    const refused = { code: 'invalid_config', message: expect.stringContaining('is not run') };
    await expect(open({ args: ['-e', 'process.exit()'] })).rejects.toMatchObject(refused);
    await expect(open({ env: { NODE_OPTIONS: '--inspect' } })).rejects.toMatchObject(refused);
    await expect(open({}, 'other')).rejects.toMatchObject(refused);
  });
});
