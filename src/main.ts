import { systemClock, systemRandom } from './clock.ts';
import { type Config, describeConfig } from './config.ts';
import { CALLBACK_PATH } from './contract/endpoints.ts';
import { type ConfigSchemas, connectionLabel, parseConnectionConfig } from './core/connection.ts';
import { AppError } from './core/errors.ts';
import type { Log, Toolkit } from './core/ports.ts';
import type { PreparedEngine } from './db/embedded/data-directory.ts';
import { removeOwnerRecord, writeOwnerRecord } from './db/embedded/owner-file.ts';
import { createEgress } from './egress.ts';
import { clientMetadata, createFaces } from './faces.ts';
import { keyMaterialIssues } from './key-material.ts';
import { type Listener, listen } from './listen.ts';
import type { StdioFace } from './mcp/stdio.ts';
import { createMetrics, type PrometheusMetrics } from './metrics.ts';
import { createAuthorizationServer } from './oauth/authorization-server.ts';
import { packageVersion } from './package-version.ts';
import { openStorage, type Storage } from './storage.ts';
import { Teardown } from './teardown.ts';
import { loadToolkits, withToolkits } from './toolkit-modules.ts';
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
  /** The embedded database has died under the process: nothing works any more, and another process may do better. */
  onEngineLost?: (error: Error) => void;
  /** The embedded engine of the directory, if its opening was begun while this module was still being loaded. */
  engineAhead?: Promise<PreparedEngine> | undefined;
};

/** How long the last answers may take when the server stops. */
const LAST_ANSWERS_MS = 5_000;

async function takeAddress(config: Config, anyPort: boolean): Promise<{ listener: Listener; movedPort: boolean }> {
  try {
    return { listener: await listen(config.address), movedPort: false };
  } catch (error) {
    if (!anyPort) throw error;
    return { listener: await listen({ ...config.address, port: 0 }), movedPort: true };
  }
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
    // Where the start ended before the storage took it over.
    await options.engineAhead?.then(({ engine }) => engine.close()).catch(() => {});
    throw error;
  }
}

async function start(config: Config, options: PlatformOptions, teardown: Teardown): Promise<Platform> {
  const { log } = options;
  const version = await packageVersion();
  log.info('starting', { version, settings: describeConfig(config) });
  const { listener, movedPort } = await takeAddress(config, options.anyPort ?? false);
  teardown.add(() => listener.close(systemClock.sleep(LAST_ANSWERS_MS)));
  const publicUrl = (config.public_url ?? listener.origin).replace(/\/$/, '');
  const kits = await toolkitsOf(config, version, options.toolkits ?? []);
  const schemas = new Map(kits.map(({ kind, configSchema }) => [kind, configSchema]));
  checkDeclared(config, schemas);
  const storage = await openStorage(config, log, schemas, teardown, options);
  const metrics = createMetrics();
  const flows = openFlows({ config, kits, schemas, storage, publicUrl, log, metrics }, teardown);
  for (const { kind, name, config: declared, description } of config.connections) {
    await flows.connections.declare({ kind, name }, { config: declared, description });
  }
  await flows.connections.release(config.connections);
  const { engine } = storage.opened;
  const { stores } = storage;
  const signState = storage.box.signer('request-state');
  const given = { config, version, engine, publicUrl, stores, flows, metrics, signState, log };
  const faces = await createFaces(given, teardown);
  listener.serve(faces);
  await flows.start();
  teardown.add(() => flows.stop());
  teardown.add(() => listener.refuse());
  announce(config, listener, faces.attachSecret, teardown);
  const { stdio, signInLink, agentKey } = faces;
  const stop = () => teardown.run();
  return { config, version, engine, publicUrl, movedPort, agentKey, flows, stdio, signInLink, stop };
}

/** The kinds of connection: those that are built in, those of the file, and those of the program around this. */
async function toolkitsOf(config: Config, version: string, added: readonly Toolkit[]): Promise<Toolkit[]> {
  const { connections: declared, api_memory_bytes } = config;
  const loaded = await loadToolkits(
    builtInToolkits({ version, declared, api_memory_bytes }),
    config.toolkits,
    config.file,
  );
  return withToolkits(loaded, added, 'The toolkit');
}

/** A mistake in the file is told before anything of it is used, with the place of the field in the file. */
function checkDeclared(config: Config, schemas: ConfigSchemas): void {
  const issues = config.connections.flatMap(({ kind, name, config: declared }, index) => {
    const parsed = parseConnectionConfig(schemas, kind, declared);
    const within = (path: string) => `connections.${index}.${path === 'kind' ? path : `config.${path}`}`;
    const label = connectionLabel({ kind, name });
    return parsed.ok
      ? []
      : parsed.issues.map(({ path, message }) => ({ path: within(path), message: `(${label}) ${message}` }));
  });
  if (issues.length === 0) return;
  const list = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new AppError('invalid_config', `The configuration file ${config.file ?? ''} is not valid: ${list}.`, {
    issues,
  });
}

type FlowsNeed = {
  config: Config;
  kits: readonly Toolkit[];
  schemas: ConfigSchemas;
  storage: Storage;
  publicUrl: string;
  log: Log;
  metrics: PrometheusMetrics;
};

function openFlows({ config, kits, schemas, storage, publicUrl, log, metrics }: FlowsNeed, teardown: Teardown): Flows {
  const { opened, stores, box, escrow, self } = storage;
  const fetch = createEgress();
  teardown.add(() => fetch.close());
  const clientName = { client_name: 'mcp-data-platform', client_uri: publicUrl };
  return createFlows({
    config,
    stores,
    toolkits: new Map(kits.map((kit) => [kit.kind, kit])),
    schemas,
    self,
    escrow,
    fingerprint: box.fingerprint,
    authorizationServer: createAuthorizationServer({
      ...{ fetch, clock: systemClock, random: systemRandom },
      clientMetadata: clientName,
    }),
    locker: opened.locker,
    notifier: opened.notifier,
    redirectUri: publicUrl + CALLBACK_PATH,
    clientIdMetadataUrl: clientMetadata(publicUrl)?.url ?? null,
    keyMaterialIssues,
    fetch,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
  });
}

/** Tells other processes of this user where the owner is, once it answers. */
function announce(config: Config, listener: Listener, secret: string, teardown: Teardown): void {
  writeOwnerRecord(config.data_dir, {
    address: listener.origin,
    attach_secret: secret,
    pid: process.pid,
    started_at: new Date(systemClock.now()).toISOString(),
  });
  teardown.add(() => removeOwnerRecord(config.data_dir));
}
