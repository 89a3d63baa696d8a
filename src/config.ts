import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { address, apiKey, declaredConnection, duration, httpUrl, yesOrNo } from './config-values.ts';
import { zodIssues } from './core/connection.ts';
import { formatDuration } from './core/duration.ts';
import { AppError, type FieldIssue } from './core/errors.ts';
import { REDACTED } from './core/redact.ts';
import { DEFAULT_PROTOCOL_SETTINGS, type ProtocolSettings } from './core/settings.ts';
import { LOG_LEVELS } from './log.ts';

type Setting = { schema: z.ZodType; secret?: true; env?: string; flag?: string; about: string };

const protocol = (name: keyof ProtocolSettings, about: string) => ({
  schema: duration(formatDuration(DEFAULT_PROTOCOL_SETTINGS[name])),
  about,
});
const bound = (name: keyof ProtocolSettings, about: string) => ({
  schema: z.coerce.number<number>().int().min(1).max(10_000).default(DEFAULT_PROTOCOL_SETTINGS[name]),
  about,
});

/** Every setting, once: its name in the file, how it is read, whether it is secret, and one sentence. */
export const SETTINGS = {
  transport: {
    schema: z.enum(['stdio', 'http']).default('stdio'),
    flag: '--transport <stdio|http>',
    about: 'How agents reach this process: over stdin and stdout, or over HTTP.',
  },
  address: {
    schema: address.prefault('127.0.0.1:8080'),
    flag: '--address <host:port>',
    about: 'Where to listen. A host left out means every interface.',
  },
  data_dir: {
    schema: z.string().min(1).optional(),
    env: 'MCP_DATA_PLATFORM_DATA_DIR',
    flag: '--data-dir <path>',
    about: "Where keys, escrow and the embedded database lie. Default: the user's data directory.",
  },
  public_url: {
    schema: httpUrl.optional(),
    env: 'PUBLIC_URL',
    flag: '--public-url <url>',
    about: 'The URL by which browsers and agents reach this server. Default: http://127.0.0.1:<port>.',
  },
  allowed_hosts: {
    schema: z.array(z.string().min(1)).default([]),
    about: 'Host names, besides that of public_url and loopback, under which requests are answered.',
  },
  database_url: {
    schema: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must begin with postgres:// or postgresql://')
      .optional(),
    secret: true,
    env: 'DATABASE_URL',
    about: 'PostgreSQL 15 or newer, direct or session-pooled. Default: the embedded engine in the data directory.',
  },
  encryption_key: {
    schema: z.string().min(1).optional(),
    secret: true,
    env: 'ENCRYPTION_KEY',
    about: '64 hexadecimal digits, base64 of 32 bytes, or 32 raw bytes. Required with database_url; else created.',
  },
  log_level: { schema: z.enum(LOG_LEVELS).default('info'), env: 'LOG_LEVEL', about: 'The least that is logged.' },
  api_keys: {
    schema: z.array(apiKey).default([]),
    secret: true,
    about:
      'Keys for agents and administrators, each with name, key, role (agent or admin), and what it may use (allow, deny).',
  },
  connections: {
    schema: z.array(declaredConnection).default([]),
    secret: true,
    about: 'Connections that belong to this file: kind, name, description, config. They cannot be edited elsewhere.',
  },
  toolkits: {
    schema: z.array(z.string().min(1)).default([]),
    about:
      'Modules that bring more kinds of connections (docs/toolkits.md): paths, relative to the folder of this file. They run with all rights of the server.',
  },
  event_retention: { schema: duration('90d'), about: 'How long the auth event history is kept.' },
  call_retention: { schema: duration('30d'), about: 'How long the records of calls are kept.' },
  record_arguments: {
    schema: yesOrNo.default(false),
    about: 'Whether the arguments of calls are kept with their records (up to 8 KiB each): they may hold anything.',
  },
  metrics_access: {
    schema: z.enum(['admin', 'agent', 'public']).default('admin'),
    about: 'Who may read /metrics: an admin, any API key, or anybody. It names the connections.',
  },
  catalog_interval: { schema: duration('5m'), about: "How often each upstream's tools are listed again." },
  api_memory_bytes: {
    schema: z.coerce.number<number>().int().min(16_777_216).default(268_435_456),
    about:
      'Bytes of answers of HTTP APIs that may be held at once; a call that would need more is refused for a moment.',
  },
  refresh_interval: protocol('refresh_interval', 'How often the refresher looks, at the latest.'),
  access_lead: protocol('access_lead', 'How long before its expiry an access token is refreshed.'),
  refresh_lead: protocol('refresh_lead', 'How long before the end of a refresh token it is used.'),
  token_deadline: protocol('token_deadline', 'How long a caller waits for a token endpoint.'),
  late_listening: protocol('late_listening', 'How long an attempt listens on for a late reply.'),
  send_window: protocol('send_window', 'How old a claim may be when the request is sent.'),
  lease: protocol('lease', 'How long nobody presents a token again after an attempt with unknown outcome.'),
  listening_lease: protocol('listening_lease', 'The same while another process may still be listening.'),
  owner_wait: protocol('owner_wait', 'How long a vanished replica is waited for before another resolves its attempt.'),
  backoff_min: protocol('backoff_min', 'The first pause after a failed refresh.'),
  backoff_max: protocol('backoff_max', 'The longest pause after failed refreshes.'),
  misconfigured_backoff: protocol('misconfigured_backoff', 'The pause after a failure that only an operator heals.'),
  incident_window: protocol(
    'incident_window',
    'Three connections that fail at one authorization server within this time, with no success between, are one incident.',
  ),
  incident_hold: protocol('incident_hold', 'How long a refused token is kept at most while an incident is open.'),
  incident_probe: protocol('incident_probe', 'How often one connection asks while an incident is open.'),
  verdict_confirmation: protocol(
    'verdict_confirmation',
    'The pause before a refused token is presented once more, while another connection of that server is asked.',
  ),
  per_host: bound('per_host', 'Refreshes at once against one authorization server.'),
  in_flight: bound('in_flight', 'Refreshes at once in this process.'),
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof SETTINGS;
const NAMES = Object.keys(SETTINGS) as SettingName[];

const fileSchema = z.strictObject(
  Object.fromEntries(NAMES.map((name) => [name, SETTINGS[name].schema])) as {
    [Name in SettingName]: (typeof SETTINGS)[Name]['schema'];
  },
);

type Parsed = z.output<typeof fileSchema>;
export type DeclaredConnection = z.output<typeof declaredConnection>;

export type Config = Omit<Parsed, 'data_dir' | keyof ProtocolSettings> & {
  data_dir: string;
  protocol: ProtocolSettings;
  /** Where the settings came from, for messages: the file's path, or null. */
  file: string | null;
};

type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/** Replaces `${VAR}` and `${VAR:-default}` in every text of a parsed document: a value can never break the YAML. */
function substitute(value: unknown, path: string, env: Environment, issues: FieldIssue[]): unknown {
  if (typeof value === 'string') {
    return value.replace(VARIABLE, (_whole, name: string, fallback: string | undefined) => {
      const found = env[name];
      if (found !== undefined && found !== '') return found;
      if (fallback !== undefined) return fallback;
      issues.push({ path, message: `needs the environment variable ${name}, which is not set` });
      return '';
    });
  }
  if (Array.isArray(value)) return value.map((item, index) => substitute(item, `${path}.${index}`, env, issues));
  if (typeof value !== 'object' || value === null) return value;
  const within = (key: string) => (path === '' ? key : `${path}.${key}`);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, substitute(item, within(key), env, issues)]),
  );
}

function refuse(source: string, issues: readonly FieldIssue[]): AppError {
  const list = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  return new AppError('invalid_config', `${source} is not valid: ${list}.`, { issues });
}

function plainValue(document: ReturnType<typeof parseDocument>, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    const sentence = `The configuration file ${path} uses a YAML alias (*name) that it does not define, or too many of them.`;
    throw new AppError('invalid_config', sentence, { cause });
  }
}

function readFile(path: string, env: Environment): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AppError('invalid_config', `The configuration file ${path} cannot be read. Check --config.`, { cause });
  }
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) {
    const line = error.linePos?.[0].line ?? '?';
    throw new AppError('invalid_config', `The configuration file ${path} is not valid YAML: see line ${line}.`);
  }
  const issues: FieldIssue[] = [];
  const content = substitute(plainValue(document, path) ?? {}, '', env, issues);
  if (issues.length > 0) throw refuse(`The configuration file ${path}`, issues);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new AppError('invalid_config', `The configuration file ${path} must be a mapping of settings.`);
  }
  return content as Record<string, unknown>;
}

function homeOf(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new AppError('data_dir', 'This user has no home directory. Say where to keep the data with --data-dir.', {
      cause,
    });
  }
}

/** The user's data directory by the convention of the operating system. */
function defaultDataDir(env: Environment): string {
  const home = homeOf();
  if (process.platform === 'darwin') return join(home, 'Library', 'Application Support', 'mcp-data-platform');
  if (process.platform === 'win32') {
    return join(env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'mcp-data-platform');
  }
  return join(env.XDG_DATA_HOME || join(home, '.local', 'share'), 'mcp-data-platform');
}

function fromEnvironment(env: Environment): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of NAMES) {
    const setting: Setting = SETTINGS[name];
    const value = setting.env === undefined ? undefined : env[setting.env];
    if (value !== undefined && value !== '') values[name] = value;
  }
  return values;
}

/**
 * Reads flags over environment over file over defaults.
 * @param flags the settings given on the command line, by their names in the file; `config` is the file's path
 * @throws AppError invalid_config naming the source and each field
 */
export function loadConfig(flags: Record<string, string | undefined>, env: Environment = process.env): Config {
  const { config: file, ...overrides } = flags;
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const content = file === undefined ? {} : readFile(file, env);
  const parsed = fileSchema.safeParse({ ...content, ...fromEnvironment(env), ...given });
  if (!parsed.success) {
    const source =
      file === undefined ? 'The command line or environment' : `The configuration (${file}, environment, flags)`;
    throw refuse(source, zodIssues(parsed.error));
  }
  const { data_dir, ...rest } = parsed.data;
  const settings = {} as ProtocolSettings;
  for (const name of Object.keys(DEFAULT_PROTOCOL_SETTINGS) as (keyof ProtocolSettings)[]) settings[name] = rest[name];
  return { ...rest, data_dir: resolve(data_dir ?? defaultDataDir(env)), protocol: settings, file: file ?? null };
}

/** The command that prints another sign-in link of a server on this data directory, as it was itself started. */
export function linkCommand(config: Config, env: Environment = process.env): string {
  const program = env.npm_lifecycle_event === 'start' ? 'npm start --' : 'mcp-data-platform';
  const isDefault = config.data_dir === resolve(env[SETTINGS.data_dir.env] ?? defaultDataDir(env));
  return `${program} link${isDefault ? '' : ` --data-dir ${JSON.stringify(config.data_dir)}`}`;
}

/** The settings as they may be logged: secrets redacted. */
export function describeConfig(config: Config): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const name of NAMES) {
    const setting: Setting = SETTINGS[name];
    const value = (config as Record<string, unknown>)[name];
    const empty = value === undefined || (Array.isArray(value) && value.length === 0);
    shown[name] = setting.secret && !empty ? REDACTED : value;
  }
  return shown;
}
