// Connections as a consent leaves them, written through the stores of the server itself.
import { sql } from 'kysely';
import { systemClock, systemRandom } from '../../dist/clock.js';
import { Secret } from '../../dist/core/redact.js';
import { DATABASE_IMAGE } from '../../dist/database-image.js';
import { loadEncryptionKey } from '../../dist/db/encryption-key.js';
import { checkEncryptionKeys } from '../../dist/db/encryption-keys.js';
import { migrate } from '../../dist/db/migrate.js';
import { migrations } from '../../dist/db/migrations/index.js';
import { openDatabase } from '../../dist/db/open.js';
import { createSecretBox } from '../../dist/db/secret-box.js';
import { createStores } from '../../dist/db/stores.js';
import { createLog } from '../../dist/index.js';
import { idleToolkit, KIND } from './toolkit.mjs';

const HOUR = 3_600_000;
/** As many as the pool of a server has sessions. */
const AT_ONCE = 10;

/** @param {{ databaseUrl?: string, dataDir: string, encryptionKey: string }} where */
export async function openStores({ databaseUrl, dataDir, encryptionKey }) {
  const ports = { log: createLog('warn'), clock: systemClock, random: systemRandom };
  const key = await loadEncryptionKey({ configured: encryptionKey, dataDir, allowCreate: false, random: systemRandom });
  const opened = await openDatabase({ ...ports, databaseUrl, dataDir, imagePath: DATABASE_IMAGE });
  await migrate(opened.db, { migrations, log: ports.log });
  const box = createSecretBox({ keys: [key], random: systemRandom });
  const check = await checkEncryptionKeys({ db: opened.db, box, clock: systemClock });
  if (!check.ok) throw check.error;
  const schemas = new Map([[KIND, idleToolkit.configSchema]]);
  const { db, claimer } = opened;
  const stores = createStores({ db, claimer, box, schemas, clock: systemClock, random: systemRandom });
  return { opened, stores, box };
}

/** @typedef {Awaited<ReturnType<typeof openStores>>} Opened */

/** @param {string} origin @param {number} index */
function configOf(origin, index) {
  return {
    endpoint: `${origin}/upstream`,
    auth_mode: /** @type {const} */ ('oauth'),
    oauth2_issuer: origin,
    oauth2_authorization_url: `${origin}/authorize`,
    oauth2_token_url: `${origin}/token`,
    oauth2_client_id: `client-${index}`,
    oauth2_client_secret: `secret-${index}`,
    oauth2_token_endpoint_auth_method: /** @type {const} */ ('client_secret_post'),
  };
}

/** @param {Opened} opened @param {string} origin @param {number} index @param {number} due */
async function seedOne({ stores, box }, origin, index, due) {
  const key = { kind: KIND, name: `c${index}` };
  const config = configOf(origin, index);
  const saved = await stores.connections.save({
    key,
    description: '',
    config,
    source: 'api',
    actor: 'bench',
    expected_revision: null,
  });
  if (!saved.saved) throw new Error(`${key.name} could not be saved: ${saved.reason}`);
  const { incarnation } = saved.connection;
  const consent_seq = await stores.consents.drawConsentSeq();
  const now = systemClock.now();
  const refresh_token = new Secret(`c${index}.0`);
  const settled = await stores.credentials.settle({
    key,
    fence: { by: 'consent', incarnation, consent_seq },
    change: {
      type: 'connected',
      token_set: {
        access_token: new Secret(`access-c${index}.0`),
        token_type: 'Bearer',
        refresh_token,
        expires_at: now + HOUR,
        refresh_expires_at: null,
        scope: null,
        received_at: now,
      },
      attempt_id: `connect-${index}`,
      consent_seq,
      binding: {
        issuer: origin,
        authorization_endpoint: config.oauth2_authorization_url,
        token_endpoint: config.oauth2_token_url,
        revocation_endpoint: null,
        client_id: config.oauth2_client_id,
        token_endpoint_auth_method: config.oauth2_token_endpoint_auth_method,
        resource: null,
        scope: '',
        client_source: 'config',
      },
      client_secret: new Secret(config.oauth2_client_secret),
      refresh_token_fingerprint: box.fingerprint(refresh_token),
      authenticated_by: 'bench',
      schedule: { at: due, reason: 'access_token_expiring' },
    },
    events: [],
  });
  if (!settled.applied) throw new Error(`${key.name} could not be connected`);
}

/**
 * Connections `from` to `to`, spread over the issuers in turn.
 * @param {Opened} opened @param {string[]} origins @param {number} from @param {number} to
 * @param {(index: number) => number} dueOf
 */
export async function seed(opened, origins, from, to, dueOf) {
  let next = from;
  const worker = async () => {
    for (let index = next++; index < to; index = next++) {
      await seedOne(opened, /** @type {string} */ (origins[index % origins.length]), index, dueOf(index));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Everything due at one moment. @param {Opened} opened @param {number} at */
export async function dueAt({ opened }, at) {
  await sql`update connection_credentials set next_refresh_at = ${new Date(at)}`.execute(opened.db);
  await sql`vacuum analyze`.execute(opened.db);
}
