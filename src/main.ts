import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAttachPoint } from './attach.ts';
import { systemClock, systemRandom } from './clock.ts';
import { type Config, describeConfig } from './config.ts';
import { CALLBACK_PATH } from './contract/endpoints.ts';
import type { ApiKeyRecord, Log, Stores, Toolkit } from './core/ports.ts';
import { ACTOR } from './core/principal.ts';
import { createDurably } from './db/durable-file.ts';
import { removeOwnerRecord, writeOwnerRecord } from './db/embedded/owner-file.ts';
import { loadEncryptionKey } from './db/encryption-key.ts';
import { checkEncryptionKeys } from './db/encryption-keys.ts';
import { createFileEscrow } from './db/escrow.ts';
import { migrate } from './db/migrate.ts';
import { migrations } from './db/migrations/index.ts';
import { type OpenDatabase, openDatabase } from './db/open.ts';
import { readReplicaIdentity } from './db/replica-identity.ts';
import { createSecretBox, type SecretBox } from './db/secret-box.ts';
import { createStores } from './db/stores.ts';
import { createEgress } from './egress.ts';
import { createApiKeys, hashToken } from './http/api-keys.ts';
import { createHttpApp } from './http/app.ts';
import { createSignInLink } from './http/sessions.ts';
import { type Listener, listen } from './listen.ts';
import { createMcpFace } from './mcp/face.ts';
import { createStdioFace, type StdioFace } from './mcp/stdio.ts';
import { createAuthorizationServer } from './oauth/authorization-server.ts';
import { builtInToolkits } from './toolkits/index.ts';
import { createFlows, type Flows } from './wiring.ts';

export type Platform = {
  config: Config;
  version: string;
  engine: 'embedded' | 'postgresql';
  publicUrl: string;
  /** Another port than the configured one was taken: redirect URIs registered before do not lead here. */
  movedPort: boolean;
  /** The key that this server made for itself; null where keys are configured. */
  agentKey: { key: string; path: string } | null;
  flows: Flows;
  stdio: StdioFace;
  signInLink(): Promise<string>;
  /** In reverse of the start; ends at the latest some seconds after the deadline of a token request. */
  stop(): Promise<void>;
};

export type PlatformOptions = {
  log: Log;
  toolkits?: readonly Toolkit[];
  /** Take a free port when the configured one is taken: for stdio, where nobody chose the port. */
  anyPort?: boolean;
};

/** Runs last-in-first-out, each step even if an earlier one failed, so that a failed start leaves nothing behind. */
class Teardown {
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.#log.warn('a part did not stop cleanly', { error });
      }
    }
  }
}

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const AGENT_KEY_FILE = 'agent.key';

export async function packageVersion(): Promise<string> {
  const text = await readFile(join(ROOT, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

async function takeAddress(config: Config, anyPort: boolean): Promise<{ listener: Listener; movedPort: boolean }> {
  try {
    return { listener: await listen(config.address), movedPort: false };
  } catch (error) {
    if (!anyPort) throw error;
    return { listener: await listen({ ...config.address, port: 0 }), movedPort: true };
  }
}

/** The one key of a server that nobody configured keys for, kept in the data directory for its user alone. */
async function ownAgentKey(dataDir: string): Promise<{ key: string; path: string }> {
  const path = join(dataDir, AGENT_KEY_FILE);
  if (!existsSync(path)) {
    const key = `mdp_${Buffer.from(systemRandom.bytes(32)).toString('base64url')}`;
    await createDurably(dataDir, AGENT_KEY_FILE, `.${AGENT_KEY_FILE}.${systemRandom.uuid()}`, `${key}\n`);
  }
  return { key: (await readFile(path, 'utf8')).trim(), path };
}

async function openStores(
  config: Config,
  log: Log,
  schemas: Parameters<typeof createStores>[0]['schemas'],
  teardown: Teardown,
): Promise<{ opened: OpenDatabase; stores: Stores; box: SecretBox }> {
  const { data_dir, database_url } = config;
  const key = await loadEncryptionKey({
    configured: config.encryption_key,
    dataDir: data_dir,
    allowCreate: database_url === undefined,
    random: systemRandom,
  });
  if (key.origin === 'created')
    log.info('an encryption key was created; back it up: without it no token can be read', { path: key.path });
  const ports = { log, clock: systemClock, random: systemRandom };
  const imagePath = join(ROOT, 'database-image.gz');
  const opened = await openDatabase({ ...ports, databaseUrl: database_url, dataDir: data_dir, imagePath });
  teardown.add(() => opened.close());
  await migrate(opened.db, { migrations, log });
  const box = createSecretBox({ keys: [key], random: systemRandom });
  const check = await checkEncryptionKeys({ db: opened.db, box, clock: systemClock });
  if (!check.ok) throw check.error;
  const { db, claimer } = opened;
  const stores = createStores({ db, clock: systemClock, random: systemRandom, box, schemas, claimer });
  return { opened, stores, box };
}

function apiKeyRecords(config: Config, agentKey: { key: string } | null): ApiKeyRecord[] {
  const configured = config.api_keys.map(({ name, role, key }) => ({ name, role, key_hash: hashToken(key) }));
  return agentKey ? [...configured, { name: 'local', role: 'agent', key_hash: hashToken(agentKey.key) }] : configured;
}

/** Public https only: an authorization server fetches the document from where it is. */
function clientMetadata(publicUrl: string): { url: string; document: Record<string, unknown> } | null {
  const { protocol, hostname } = new URL(publicUrl);
  if (protocol !== 'https:' || !hostname.includes('.') || /^[\d.]+$/.test(hostname)) return null;
  const url = `${publicUrl}/oauth/client-metadata.json`;
  const document = {
    client_id: url,
    client_name: 'mcp-data-platform',
    client_uri: publicUrl,
    redirect_uris: [publicUrl + CALLBACK_PATH],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  return { url, document };
}

/**
 * Starts a server on a data directory that this process owns (or on PostgreSQL), part by part.
 * @throws AppError with one sentence for whoever started it; whatever had been started is stopped again
 */
export async function startPlatform(config: Config, options: PlatformOptions): Promise<Platform> {
  const teardown = new Teardown(options.log);
  try {
    return await start(config, options, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
}

async function start(config: Config, options: PlatformOptions, teardown: Teardown): Promise<Platform> {
  const { log } = options;
  const clock = systemClock;
  const random = systemRandom;
  const version = await packageVersion();
  log.info('starting', { version, settings: describeConfig(config) });
  const { listener, movedPort } = await takeAddress(config, options.anyPort ?? false);
  teardown.add(() => listener.close(clock.sleep(5_000)));
  const publicUrl = (config.public_url ?? `http://127.0.0.1:${listener.port}`).replace(/\/$/, '');

  const toolkits = new Map(
    [...builtInToolkits({ version }), ...(options.toolkits ?? [])].map((kit) => [kit.kind, kit]),
  );
  const schemas = new Map([...toolkits].map(([kind, { configSchema }]) => [kind, configSchema]));
  const { opened, stores, box } = await openStores(config, log, schemas, teardown);
  const replica_id = await readReplicaIdentity({ dataDir: config.data_dir, random });
  const boot_id = await stores.replicas.boot(replica_id);
  const fetch = createEgress();
  teardown.add(() => fetch.close());
  const metadata = clientMetadata(publicUrl);
  const flows = createFlows({
    config,
    stores,
    toolkits,
    schemas,
    self: { replica_id, boot_id },
    escrow: createFileEscrow({ directory: join(config.data_dir, 'escrow'), box, log }),
    fingerprint: box.fingerprint,
    authorizationServer: createAuthorizationServer({
      fetch,
      clock,
      clientMetadata: { client_name: 'mcp-data-platform', client_uri: publicUrl },
    }),
    locker: opened.locker,
    notifier: opened.notifier,
    redirectUri: publicUrl + CALLBACK_PATH,
    clientIdMetadataUrl: metadata?.url ?? null,
    fetch,
    clock,
    random,
    log,
  });
  for (const { kind, name, config: declared, description } of config.connections) {
    await flows.connections.declare({ kind, name }, { config: declared, description });
  }
  await flows.connections.release(config.connections);

  const toolCall = flows.toolCallFor(publicUrl);
  const face = createMcpFace({ catalog: flows.catalog, toolCall, version, log, clock, random });
  teardown.add(() => face.close());
  const agentKey = config.api_keys.length === 0 ? await ownAgentKey(config.data_dir) : null;
  const actor = ACTOR.unattributed;
  const links = { access: stores.access, clock, random, publicUrl };
  const signInLink = async () => (await createSignInLink(links, { actor })).url;
  const app = createHttpApp({
    flows,
    access: stores.access,
    apiKeys: createApiKeys(apiKeyRecords(config, agentKey)),
    mounts: [face],
    portalDir: existsSync(join(ROOT, 'portal')) ? join(ROOT, 'portal') : null,
    health: { ready: () => readiness(stores) },
    version,
    engine: opened.engine,
    publicUrl,
    allowedHosts: config.allowed_hosts,
    ...(metadata ? { clientMetadata: metadata.document } : {}),
    clock,
    random,
    log,
  });
  const secret = Buffer.from(random.bytes(32)).toString('base64url');
  const attach = createAttachPoint({
    secret,
    handleMcp: (request, principal) => face.handle(request, principal),
    createSignInLink: signInLink,
  });
  listener.serve((request) => attach.handle(request) ?? app.fetch(request));

  await flows.start();
  teardown.add(() => flows.stop());
  announce(config, listener, secret, teardown);
  const principal = { actor: 'stdio', role: 'agent', via: 'stdio' } as const;
  const stdio = createStdioFace({ catalog: flows.catalog, toolCall, version, principal, log });
  return {
    config,
    version,
    engine: opened.engine,
    publicUrl,
    movedPort,
    agentKey,
    flows,
    stdio,
    signInLink,
    stop: () => teardown.run(),
  };
}

/** Tells other processes of this user where the owner is, once it answers. */
function announce(config: Config, listener: Listener, secret: string, teardown: Teardown): void {
  writeOwnerRecord(config.data_dir, {
    address: `http://127.0.0.1:${listener.port}`,
    attach_secret: secret,
    pid: process.pid,
    started_at: new Date(systemClock.now()).toISOString(),
  });
  teardown.add(() => removeOwnerRecord(config.data_dir));
}

async function readiness(stores: Stores): Promise<{ ok: boolean; checks: Record<string, 'ok' | 'failing'> }> {
  const ok = await stores.credentials.nextDueAt().then(
    () => true,
    () => false,
  );
  return { ok, checks: { database: ok ? 'ok' : 'failing' } };
}
