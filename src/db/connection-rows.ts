import { createHash } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { ConfigSchemas, ConnectionConfig, ConnectionKey } from '../core/connection.ts';
import { commandIssue, parseConnectionConfig } from '../core/connection.ts';
import type { ConfigSecrets } from '../core/connection-secrets.ts';
import { joinSecrets, splitSecrets } from '../core/connection-secrets.ts';
import type { FieldIssue } from '../core/errors.ts';
import type { Connection } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { json, toInstant } from './column-values.ts';
import type { ConnectionTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import { unreadableSentence } from './secret-box.ts';

/** A connection with the boxes of its token, which are opened only to tell whether they can be. */
export type ConnectionRow = Selectable<ConnectionTable> & {
  access_token: Uint8Array | null;
  refresh_token: Uint8Array | null;
};

/** The first 8 bytes of SHA-256 of `kind ‖ 0 ‖ name`, signed: what advisory locks take. */
export function lockKeyOf(key: ConnectionKey): bigint {
  return createHash('sha256').update(`${key.kind}\0${key.name}`, 'utf8').digest().readBigInt64BE(0);
}

export function configColumns(box: SecretBox, key: ConnectionKey, config: ConnectionConfig) {
  const { open, secrets } = splitSecrets(config);
  const sealed =
    Object.keys(secrets).length === 0
      ? null
      : box.seal(new Secret(JSON.stringify(secrets)), { ...key, column: 'config_secrets' });
  return { config: json(open), config_secrets: sealed };
}

type OpenedConfig = { config: ConnectionConfig; issues: FieldIssue[] };

/** A row that cannot be decrypted or no longer passes validation is shown with its issues, never thrown (lesson 17). */
function openConfig(box: SecretBox, schemas: ConfigSchemas, row: ConnectionRow): OpenedConfig {
  const { kind, name } = row;
  const unreadable: FieldIssue[] = [];
  let secrets: ConfigSecrets = {};
  if (row.config_secrets !== null) {
    const opened = box.open(row.config_secrets, { kind, name, column: 'config_secrets' });
    if (opened.opened) secrets = JSON.parse(opened.secret.reveal()) as ConfigSecrets;
    else unreadable.push({ path: 'config', message: unreadableSentence(opened.reason) });
  }
  const config = joinSecrets(row.config, secrets);
  const lost = Object.keys(splitSecrets(config).secrets).filter((path) => secrets[path] === undefined);
  const issues = lost.map((path): FieldIssue => ({ path, message: 'its secret is missing; type it again' }));
  const parsed = parseConnectionConfig(schemas, kind, config);
  if (!parsed.ok) issues.push(...parsed.issues);
  const foreign = commandIssue(row.source, config);
  if (foreign) issues.push(foreign);
  return {
    config: parsed.ok ? parsed.config : (config as ConnectionConfig),
    issues: unreadable.length > 0 ? unreadable : issues,
  };
}

/** Healed by a new consent, unlike the issues of the configuration: `path` tells the two apart. */
function tokenIssues(box: SecretBox, row: ConnectionRow): FieldIssue[] {
  const { kind, name } = row;
  for (const column of ['access_token', 'refresh_token'] as const) {
    const sealed = row[column];
    if (sealed === null) continue;
    const opened = box.open(sealed, { kind, name, column });
    if (opened.opened) continue;
    return [{ path: column, message: `${unreadableSentence(opened.reason)}; restore that key, or connect again` }];
  }
  return [];
}

export function toConnection(box: SecretBox, schemas: ConfigSchemas, row: ConnectionRow): Connection {
  const { config, issues } = openConfig(box, schemas, row);
  return {
    key: { kind: row.kind, name: row.name },
    incarnation: row.incarnation,
    source: row.source,
    description: row.description,
    config,
    issues: [...issues, ...tokenIssues(box, row)],
    created_at: toInstant(row.created_at),
    updated_at: toInstant(row.updated_at),
    updated_by: row.updated_by,
    revision: row.revision,
  };
}
