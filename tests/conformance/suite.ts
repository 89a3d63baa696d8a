import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as send } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listen, stop } from '../mcp/gateway.ts';
import { runToEnd } from '../support/platform.ts';

export const REVISIONS = ['2026-07-28', '2025-11-25'] as const;
export type Revision = (typeof REVISIONS)[number];

const SHIM = new URL('./node20-shim.mjs', import.meta.url).href;
const SUITE = fileURLToPath(
  new URL('../tools/node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);

type Check = { id: string; status: string; errorMessage?: string };
export type Scenario = { name: string; scored: boolean; passed: number; failed: string[] };
export type Report = { code: number | string; scenarios: Scenario[]; said: string };

/** Runs what a revision requires of a server; the suite's own exit code is the verdict. */
export async function runSuite(url: string, revision: Revision): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'mdp-conformance-'));
  try {
    const args = ['--import', SHIM, SUITE, 'server', '--url', url, '--requirements', revision, '-o', folder];
    const { code, stdout, stderr } = await runToEnd(process.execPath, args, { PATH: process.env.PATH, HOME: folder });
    const unscored = new Set(
      [...stdout.matchAll(/^ {2}[✓✗] (\S+) \((?:extension|pending|added-after-release)\)$/gm)].map(([, name]) => name),
    );
    const scenarios = readdirSync(folder).map((entry) => {
      const name = /^server-(.+?)-\d{4}-\d\d-\d\dT/.exec(entry)?.[1] ?? entry;
      const checks = JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8')) as Check[];
      const failed = checks.filter(({ status }) => status === 'FAILURE');
      return {
        name,
        scored: !unscored.has(name),
        passed: checks.filter(({ status }) => status === 'SUCCESS').length,
        failed: failed.map(({ id, errorMessage }) => `${id}: ${errorMessage ?? 'no message'}`),
      };
    });
    return { code, scenarios: scenarios.sort((a, b) => a.name.localeCompare(b.name)), said: `${stdout}${stderr}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export type AddingProxy = { origin: string; close(): Promise<void> };

/**
 * What the suite has no option for: passes every request on with a key, and with the Host and the Origin as they came,
 * its own address in them being the platform's.
 */
export async function startAddingProxy(target: string, headers: Record<string, string>): Promise<AddingProxy> {
  const { hostname, port, host } = new URL(target);
  let own = '';
  const server = createServer((req, res) => {
    const renamed = Object.fromEntries(
      Object.entries(req.headers).map(([name, value]) => [
        name,
        (name === 'host' || name === 'origin') && typeof value === 'string' ? value.replace(own, host) : value,
      ]),
    );
    const onward = send(
      { hostname, port, path: req.url, method: req.method, headers: { ...renamed, ...headers } },
      (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        res.flushHeaders();
        answer.pipe(res);
      },
    );
    onward.on('error', () => res.destroy());
    res.on('close', () => onward.destroy());
    req.pipe(onward);
  });
  own = `127.0.0.1:${await listen(server)}`;
  return { origin: `http://${own}`, close: () => stop(server) };
}
