import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAttachPoint } from './attach.ts';
import { systemClock, systemRandom } from './clock.ts';
import type { Config } from './config.ts';
import { CALLBACK_PATH } from './contract/endpoints.ts';
import { accessRules, EVERYTHING } from './core/access-rule.ts';
import type { ApiKeyRecord, Log, MetricsSample, Sign, Stores } from './core/ports.ts';
import { ACTOR, STDIO_PRINCIPAL } from './core/principal.ts';
import { createDurably } from './db/durable-file.ts';
import { createApiKeys, hashToken } from './http/api-keys.ts';
import { createHttpApp } from './http/app.ts';
import { createGateway } from './http/gateway.ts';
import { oauthHealth, systemInfo } from './http/overview.ts';
import { createSignInLink } from './http/sessions.ts';
import type { Served } from './listen.ts';
import { createMcpFace } from './mcp/face.ts';
import { createStdioFace, type StdioFace } from './mcp/stdio.ts';
import type { PrometheusMetrics } from './metrics.ts';
import type { Teardown } from './teardown.ts';
import type { Flows } from './wiring.ts';

export type Faces = Served & {
  stdio: StdioFace;
  signInLink(): Promise<string>;
  /** The key that this server made for itself; null where keys are configured. */
  agentKey: { key: string; path: string } | null;
  attachSecret: string;
};

export type FacesInput = {
  config: Config;
  version: string;
  engine: 'embedded' | 'postgresql';
  publicUrl: string;
  stores: Stores;
  flows: Flows;
  /** Signs what MCP clients carry between two requests. */
  signState: Sign;
  metrics: PrometheusMetrics;
  log: Log;
};

const PORTAL = fileURLToPath(new URL('./portal', import.meta.url));
const AGENT_KEY_FILE = 'agent.key';

/** The one key of a server that nobody configured keys for, kept in the data directory for its user alone. */
async function ownAgentKey(dataDir: string): Promise<{ key: string; path: string }> {
  const path = join(dataDir, AGENT_KEY_FILE);
  if (!existsSync(path)) {
    const key = `mdp_${Buffer.from(systemRandom.bytes(32)).toString('base64url')}`;
    await createDurably(dataDir, AGENT_KEY_FILE, `.${AGENT_KEY_FILE}.${systemRandom.uuid()}`, `${key}\n`);
  }
  return { key: (await readFile(path, 'utf8')).trim(), path };
}

function apiKeyRecords(config: Config, agentKey: { key: string } | null): ApiKeyRecord[] {
  const configured = config.api_keys.map(({ name, role, key, allow, deny }): ApiKeyRecord => {
    const access = accessRules({ deny, ...(allow ? { allow } : {}) });
    return { name, role, key_hash: hashToken(key), access };
  });
  if (!agentKey) return configured;
  return [...configured, { name: 'local', role: 'agent', key_hash: hashToken(agentKey.key), access: EVERYTHING }];
}

/** Public https only: an authorization server fetches the document from where it is. */
export function clientMetadata(publicUrl: string): { url: string; document: Record<string, unknown> } | null {
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

/** Everything by which people, agents and other processes of this user reach the flows. */
export async function createFaces(input: FacesInput, teardown: Teardown): Promise<Faces> {
  const { config, version, engine, publicUrl, stores, flows, signState, log } = input;
  const ports = { clock: systemClock, random: systemRandom, log };
  const toolCall = flows.toolCallFor(publicUrl);
  const face = createMcpFace({ catalog: flows.catalog, toolCall, signState, version, ...ports });
  teardown.add(() => face.close());
  const agentKey = config.api_keys.length === 0 ? await ownAgentKey(config.data_dir) : null;
  const links = { access: stores.access, publicUrl, ...ports };
  const signInLink = async () => (await createSignInLink(links, { actor: ACTOR.unattributed })).url;
  const metadata = clientMetadata(publicUrl);
  const app = createHttpApp({
    flows,
    access: stores.access,
    calls: stores.calls,
    toolChanges: stores.toolChanges,
    metrics: { access: config.metrics_access, read: async () => input.metrics.render(await sampleOf(input)) },
    apiKeys: createApiKeys(apiKeyRecords(config, agentKey)),
    mounts: [face, createGateway(flows.passthroughFor(publicUrl))],
    portalDir: existsSync(PORTAL) ? PORTAL : null,
    health: { ready: () => readiness(stores) },
    version,
    engine,
    publicUrl,
    allowedHosts: config.allowed_hosts,
    ...(metadata ? { clientMetadata: metadata.document } : {}),
    ...ports,
  });
  const examine = async () => ({ system: systemInfo(input), ...(await oauthHealth(flows.connections)) });
  const attachSecret = Buffer.from(systemRandom.bytes(32)).toString('base64url');
  const handleMcp = face.handle.bind(face);
  const attach = createAttachPoint({ secret: attachSecret, handleMcp, createSignInLink: signInLink, examine });
  return {
    fetch: (request) => attach.handle(request) ?? app.fetch(request),
    post: (post) => app.post(post),
    stdio: createStdioFace({
      catalog: flows.catalog,
      toolCall,
      signState,
      version,
      principal: STDIO_PRINCIPAL,
      ...ports,
    }),
    signInLink,
    agentKey,
    attachSecret,
  };
}

async function sampleOf({ flows, stores }: FacesInput): Promise<MetricsSample> {
  const [found, due] = await Promise.all([
    flows.connections.list().catch(() => null),
    stores.credentials.nextDueAt().catch(() => null),
  ]);
  const connections =
    found?.map(({ kind, oauth, issues }) => ({
      kind,
      state: oauth?.state ?? null,
      health: oauth?.health ?? null,
      valid: issues.length === 0,
    })) ?? null;
  const waited = due === null ? 0 : Math.max(0, systemClock.now() - due) / 1_000;
  return {
    connections,
    refresh_lag_seconds: found === null ? null : waited,
    refreshes_in_flight: flows.refresh.inFlight,
  };
}

async function readiness(stores: Stores): Promise<{ ok: boolean; checks: Record<string, 'ok' | 'failing'> }> {
  const ok = await stores.credentials.nextDueAt().then(
    () => true,
    () => false,
  );
  return { ok, checks: { database: ok ? 'ok' : 'failing' } };
}
