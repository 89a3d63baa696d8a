import type { ConnectionConfig } from './connection.ts';
import { destinationOf } from './connection.ts';
import type { FieldIssue } from './errors.ts';
import { isRecord } from './json-shape.ts';
import { REDACTED } from './redact.ts';

/** Top-level keys whose value is a secret, and the destination that each is bound to. */
const SECRET_KEYS = {
  credential: 'endpoint',
  password: 'endpoint',
  oauth2_client_secret: 'token_endpoint',
  oauth2_client_private_key_pem: 'token_endpoint',
  mtls_client_key_pem: 'endpoint',
  // No secret, but megabytes that no list of connections should carry, and nobody's business but the operator's.
  openapi_spec: 'nowhere',
} as const;

/** Keys whose value is a map of which every value is a secret. */
const SECRET_MAPS = { static_headers: 'endpoint', env: 'endpoint' } as const;

type Destination = 'endpoint' | 'token_endpoint' | 'nowhere';

/** Secrets of one configuration by their path: `credential`, `static_headers.X-Team`. */
export type ConfigSecrets = Record<string, string>;

type RawConfig = Record<string, unknown>;

/** Walks every secret of a configuration, nested ones too; `visit` returns what stands in its place. */
function mapSecrets(config: RawConfig, visit: (path: string, value: unknown, to: Destination) => unknown): RawConfig {
  const result: RawConfig = { ...config };
  for (const [key, to] of Object.entries(SECRET_KEYS)) {
    if (result[key] !== undefined) result[key] = visit(key, result[key], to);
  }
  for (const [key, to] of Object.entries(SECRET_MAPS)) {
    const map = result[key];
    if (!isRecord(map)) continue;
    result[key] = Object.fromEntries(
      Object.entries(map).map(([name, value]) => [name, visit(`${key}.${name}`, value, to)]),
    );
  }
  return result;
}

/** The configuration as anybody may see it: each secret reads `[REDACTED]`. */
export function redactConfig(config: RawConfig): RawConfig {
  return mapSecrets(config, () => REDACTED);
}

/** Parts what may lie open in the database from what is encrypted. `joinSecrets` is its inverse. */
export function splitSecrets(config: RawConfig): { open: RawConfig; secrets: ConfigSecrets } {
  const secrets: ConfigSecrets = {};
  const open = mapSecrets(config, (path, value) => {
    secrets[path] = String(value);
    return REDACTED;
  });
  return { open, secrets };
}

/** Puts the decrypted secrets back; one that is missing stays `[REDACTED]` and is reported by `missingSecrets`. */
export function joinSecrets(open: RawConfig, secrets: ConfigSecrets): RawConfig {
  return mapSecrets(open, (path) => secrets[path] ?? REDACTED);
}

function originOf(url: string | undefined): string | undefined {
  return url && URL.canParse(url) ? new URL(url).origin : undefined;
}

/** Whether secrets bound to a destination would travel to another origin than the one they were typed for. */
export function movedDestinations(stored: ConnectionConfig, next: ConnectionConfig): ReadonlySet<Destination> {
  const moved = new Set<Destination>();
  const endpointMoved = originOf(destinationOf(stored)) !== originOf(destinationOf(next));
  if (endpointMoved) moved.add('endpoint');
  const tokenOrigin = (config: ConnectionConfig) =>
    originOf(config.oauth2_token_url) ?? originOf(config.oauth2_issuer) ?? originOf(destinationOf(config));
  if (tokenOrigin(stored) !== tokenOrigin(next)) moved.add('token_endpoint');
  if (endpointMoved) moved.add('token_endpoint');
  return moved;
}

export type ResolvedConfig = { ok: true; config: RawConfig } | { ok: false; issues: FieldIssue[] };

/**
 * Replaces each `[REDACTED]` of a written configuration by the stored secret. Refused where nothing is stored (the
 * literal would become the secret), and where the destination moved (the secret would be sent to a host that the
 * operator never gave it to).
 */
export function resolveRedacted(
  next: RawConfig,
  stored: ConfigSecrets,
  moved: ReadonlySet<Destination>,
): ResolvedConfig {
  const issues: FieldIssue[] = [];
  const config = mapSecrets(next, (path, value, to) => {
    if (value !== REDACTED) return value;
    const kept = stored[path];
    if (kept === undefined) {
      issues.push({ path, message: `${REDACTED} keeps a stored secret, but none is stored; type the secret` });
      return value;
    }
    if (moved.has(to)) {
      issues.push({ path, message: 'its destination changed; type the secret again to send it to the new one' });
    }
    return kept;
  });
  return issues.length > 0 ? { ok: false, issues } : { ok: true, config };
}
