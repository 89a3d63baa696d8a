import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import type { Examination } from './contract/schemas.ts';

/** One thing that was looked at. `bad`: a person must do something. */
export type Check = { name: string; result: 'good' | 'advice' | 'bad'; sentence: string };

export type Diagnosis = {
  needs_person: boolean;
  checks: Check[];
  /** null: no server answered on the data directory. */
  system: Examination['system'] | null;
  connections: Examination['connections'];
  /** Authorization servers at which many connections fail. */
  incidents: Examination['incidents'];
};

/** Whoever can read these can read every token, or act as the server. */
const PRIVATE_FILES = ['secret.key', 'agent.key', 'owner.json'] as const;

function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode;
  } catch {
    return undefined;
  }
}

function checkDirectory({ data_dir }: Config): Check {
  const found = modeOf(data_dir) !== undefined;
  return found
    ? { name: 'data_dir', result: 'good', sentence: `The data directory is ${data_dir}.` }
    : {
        name: 'data_dir',
        result: 'bad',
        sentence: `The data directory ${data_dir} does not exist. Name it with --data-dir, or start the server once.`,
      };
}

function checkPrivate({ data_dir }: Config): Check[] {
  if (process.platform === 'win32') return [];
  return PRIVATE_FILES.flatMap((name): Check[] => {
    const path = join(data_dir, name);
    const mode = modeOf(path);
    if (mode === undefined) return [];
    if ((mode & 0o077) === 0) return [{ name, result: 'good', sentence: `${path} is readable by its user alone.` }];
    return [{ name, result: 'bad', sentence: `${path} can be read by others. Run: chmod 600 ${JSON.stringify(path)}` }];
  });
}

function checkPublicUrl(publicUrl: string): Check {
  const { protocol, hostname } = new URL(publicUrl);
  const loopback = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  if (protocol === 'https:' || loopback) {
    return { name: 'public_url', result: 'good', sentence: `Browsers reach the server at ${publicUrl}.` };
  }
  return {
    name: 'public_url',
    result: 'advice',
    sentence: `public_url is ${publicUrl}: sign-in cookies and authorization codes travel in the clear, and most providers refuse such a redirect URI. Put TLS in front and set public_url to the https address.`,
  };
}

function checkServer(config: Config, found: Examination | undefined): Check {
  if (found) {
    const { version, engine } = found.system;
    return { name: 'server', result: 'good', sentence: `Version ${version} runs on it, with engine ${engine}.` };
  }
  return {
    name: 'server',
    result: 'bad',
    sentence: `No server answered on the data directory ${config.data_dir}. Start one (mcp-data-platform --transport http), or name its directory with --data-dir: without a server, nothing refreshes the tokens. If one runs, it is busy or of an older version: ask again, or restart it.`,
  };
}

/** Judges what the running server told, and what can be seen of its surroundings without it. */
export function diagnose(config: Config, found: Examination | undefined): Diagnosis {
  const publicUrl = found?.system.public_url ?? config.public_url;
  const checks = [
    checkServer(config, found),
    checkDirectory(config),
    ...checkPrivate(config),
    ...(publicUrl === undefined ? [] : [checkPublicUrl(publicUrl)]),
  ];
  const connections = found?.connections ?? [];
  const needs_person =
    checks.some(({ result }) => result === 'bad') || connections.some(({ oauth }) => oauth.needs_person);
  return { needs_person, checks, system: found?.system ?? null, connections, incidents: found?.incidents ?? [] };
}

const MARKS = { good: 'ok    ', advice: 'advice', bad: 'BAD   ' } as const;

/** For a terminal: what needs a person comes first within each connection. */
export function diagnosisText({ checks, connections, incidents, needs_person }: Diagnosis): string {
  const lines = checks.map(({ result, sentence }) => `${MARKS[result]}  ${sentence}`);
  for (const { sentence } of incidents) lines.push(`${MARKS.advice}  ${sentence}`);
  for (const { kind, name, oauth } of connections) {
    lines.push('', `${oauth.needs_person ? MARKS.bad : MARKS.good}  ${kind}/${name}: ${oauth.state}, ${oauth.health}`);
    lines.push(`        ${oauth.summary}`);
    if (oauth.state === 'connected' && !oauth.summary.includes(oauth.forecast.sentence)) {
      lines.push(`        ${oauth.forecast.sentence}`);
    }
    for (const { severity, sentence } of oauth.findings) {
      lines.push(`        ${severity === 'action' ? 'Needs you' : 'Advice'}: ${sentence}`);
    }
  }
  const end = needs_person ? 'Something needs a person.' : 'Nothing needs a person.';
  return `${lines.join('\n')}\n\n${end}\n`;
}
