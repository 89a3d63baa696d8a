import { createHash } from 'node:crypto';
import { connectionLabel, mcpConfigSchema } from '../../src/core/connection.ts';
import { isAppError } from '../../src/core/errors.ts';
import type {
  AuthorizationServer,
  Clock,
  Escrow,
  Locker,
  Log,
  LogFields,
  Notifier,
  ServerMetadata,
  Stores,
} from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import type { TokenReply } from '../../src/core/token-response.ts';
import type { SecretBox } from '../../src/db/secret-box.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import type { Presentation } from './ledger.ts';
import type { Answered, Issued } from './provider.ts';
import type { Task } from './scheduler.ts';
import { DiskFault, type Life, START, unavailable, type World } from './world.ts';

export const SCHEMAS = new Map([['mcp', mcpConfigSchema]]);

/** Nobody reads this memory: a box is as good as its label. */
export const openBox: SecretBox = {
  seal: (secret) => Buffer.from(secret.reveal()),
  open: (box) => ({ opened: true, secret: new Secret(Buffer.from(box).toString()) }),
  signer: () => (text) => `signed ${text}`,
  fingerprint: (token) => `print of ${token.reveal()}`,
  sealing_key_id: '0123456789abcdef',
  prefixes: [],
};

const METADATA: ServerMetadata = {
  issuer: 'https://idp.example',
  authorization_endpoint: 'https://idp.example/authorize',
  token_endpoint: 'https://idp.example/token',
  revocation_endpoint: 'https://idp.example/revoke',
  registration_endpoint: null,
  token_endpoint_auth_methods_supported: null,
  scopes_supported: null,
  code_challenge_methods_supported: ['S256'],
  authorization_response_iss_parameter_supported: false,
  client_id_metadata_document_supported: false,
  resource: null,
  resource_scopes_supported: null,
  challenge_scope: null,
  source: 'configured',
};

export function clockOf(world: World, life: Life): Clock {
  const { scheduler } = world;
  const sleep = (ms: number, label: string, done: () => void): Task =>
    world.act(life, Math.max(ms, 0), `${life.name} ${label}`, done);
  return {
    now: () => Math.floor(START + scheduler.now + life.host.skew),
    monotonic: () => scheduler.now - life.started,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const forget = () => {
          life.asleep.delete(forget);
          signal?.removeEventListener('abort', onAbort);
        };
        const task = sleep(ms, 'wakes', () => {
          forget();
          resolve();
        });
        const onAbort = () => {
          task.cancelled = true;
          forget();
          if (life.alive) resolve();
        };
        life.asleep.add(forget);
        signal?.addEventListener('abort', onAbort);
      }),
    timeout(ms) {
      const controller = new AbortController();
      sleep(ms, 'times out', () => controller.abort(new DOMException('timeout', 'TimeoutError')));
      return controller.signal;
    },
  };
}

/** Mostly a few milliseconds; sometimes long enough to outlive a window or a lease. */
function latency({ dice, turbulent, plan }: World): number {
  if (!turbulent) return dice.between(0.3, 2);
  const drawn = dice.fraction();
  if (plan.faults.has('stall')) {
    if (drawn < 0.004) return dice.between(30_000, 600_000);
    if (drawn < 0.012) return dice.between(3_000, 12_000);
  }
  return drawn < 0.1 ? dice.between(5, 400) : dice.between(0.3, 4);
}

/**
 * One statement: its way there, its effect, its acknowledgement. A crash stops none that has been sent, an outage may
 * come before or after its effect.
 */
function statement<T>(world: World, life: Life, label: string, work: () => Promise<T>): Promise<T> {
  const { dice, scheduler } = world;
  return new Promise<T>((resolve, reject) => {
    const told = (delay: number, how: () => void) => {
      if (delay === 0) return life.alive ? how() : undefined;
      world.act(life, delay, `${life.name} hears of ${label}`, how);
    };
    scheduler.after(latency(world), `${life.name} ${label}`, () => {
      if (!life.alive && dice.chance(0.5)) return;
      const flaky = world.hasFault('flake') && dice.chance(0.03);
      const lost = world.acknowledgement_lost || (flaky && dice.chance(0.5));
      world.acknowledgement_lost = false;
      const away = !lost && life.host.cut_off_until > scheduler.now;
      const delay = dice.chance(0.2) ? latency(world) : 0;
      if ((away || flaky || lost) && ON_SESSION.test(label))
        scheduler.after(delay + 1, 'a session is lost', () => loseSession(world, life));
      if (away || (flaky && !lost)) {
        world.tell(`${life.name} ${label}: the database does not answer`);
        return told(dice.chance(0.2) ? dice.between(1_000, 20_000) : 1, () => reject(unavailable()));
      }
      world.tell(
        `${life.name} ${label}${lost ? ': done, the acknowledgement is lost' : ''}${life.alive ? '' : ' (after its end)'}`,
      );
      work().then(
        (value) => told(delay, () => (lost ? reject(unavailable()) : resolve(value))),
        (error: unknown) => told(delay, () => reject(error)),
      );
    });
  });
}

function throughStatements<S extends object>(world: World, life: Life, name: string, store: S): S {
  const methods = Object.entries(store).map(([method, work]) => {
    const run = work as (...given: unknown[]) => Promise<unknown>;
    return [method, (...given: unknown[]) => statement(world, life, `${name}.${method}`, () => run(...given))];
  });
  return Object.fromEntries(methods) as S;
}

function tryLock({ locks, plan }: World, life: Life, key: bigint): boolean {
  // The session of a process that has ended is closed, and its locks with it.
  if (plan.embedded || !life.alive) return true;
  if (locks.has(key)) return false;
  locks.set(key, life);
  return true;
}

function unlock({ locks }: World, life: Life, key: bigint): void {
  if (locks.get(key) === life) locks.delete(key);
}

/** The session ends, and with it every lock that it held. */
export function loseSession({ locks }: World, life: Life | null): void {
  for (const [key, holder] of [...locks]) if (holder === life) locks.delete(key);
}

/** What runs on the lock session: where an answer is missing, the session is given up, with locks that nobody knows of. */
const ON_SESSION = /^(?:locker|credentials\.claimDue)/;

export function storesOf(world: World, life: Life, clock: Clock): Stores {
  const { memory, random, ledger } = world;
  const stores = createMemoryStores({ memory, clock, random, box: openBox, schemas: SCHEMAS });
  const { credentials, consents } = stores;
  /** The advisory locks are taken in the statement that claims; what is seen of it here is for the invariants. */
  const watched: Stores = {
    ...stores,
    credentials: {
      ...credentials,
      claimDue: async (query) =>
        (await credentials.claimDue(query)).filter(({ lock_key }) => tryLock(world, life, lock_key)),
      async readForAttempt(key) {
        const view = await credentials.readForAttempt(key);
        if (view) life.views.set(connectionLabel(key), { view, now: clock.now() });
        return view;
      },
      async claimIntent(claim) {
        const claimed = await credentials.claimIntent(claim);
        const { attempt_id, generation } = claim;
        if (claimed) life.claims.set(connectionLabel(claim.key), { attempt_id, generation });
        return claimed;
      },
    },
    consents: {
      ...consents,
      async consume(state) {
        const consumed = await consents.consume(state);
        if (consumed) ledger.consumed(state, consumed.consent, consumed.consent_seq);
        return consumed;
      },
    },
  };
  const named = Object.entries(watched).map(([name, store]) => [name, throughStatements(world, life, name, store)]);
  return Object.fromEntries(named) as Stores;
}

export function lockerOf(world: World, life: Life): Locker {
  if (world.plan.embedded) return { tryLock: async () => true, unlock: async () => undefined };
  return {
    tryLock: (key) => statement(world, life, 'locker.tryLock', async () => tryLock(world, life, key)),
    unlock: (key) => statement(world, life, 'locker.unlock', async () => unlock(world, life, key)),
  };
}

export function notifierOf(world: World, life: Life): Notifier {
  return {
    publish: (channel, payload) =>
      statement(world, life, `notifier.publish ${channel}`, async () => {
        for (const { life: other, cut_off_until } of world.hosts) {
          if (!other || cut_off_until > world.scheduler.now) continue;
          world.act(other, latency(world), `${other.name} notice ${channel}`, () => {
            for (const one of other.notices) if (one.channel === channel) one.listener(payload);
          });
        }
      }),
    subscribe(channel, listener) {
      const one = { channel, listener };
      life.notices.push(one);
      return () => {
        life.notices = life.notices.filter((other) => other !== one);
      };
    },
  };
}

export function escrowOf(world: World, life: Life): Escrow {
  const { dice, scheduler, ledger } = world;
  const { host } = life;
  /** What has reached the disk stays there, also when nobody is left to hear of it. */
  const operation = <T>(label: string, work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const delay = world.turbulent ? dice.between(0.2, 30) : 0.5;
      scheduler.after(delay, `${life.name} escrow.${label}`, () => {
        if (host.gone || (!life.alive && dice.chance(0.5))) return;
        const failing = host.disk_fails_until > scheduler.now;
        // A disk that fails may have done it all the same.
        const done = !failing || dice.chance(0.2);
        world.tell(`${life.name} escrow.${label}${failing ? ': the disk fails' : ''}`);
        const value = done ? work() : undefined;
        if (!life.alive) return;
        if (failing) reject(new DiskFault());
        else resolve(value as T);
      });
    });
  return {
    write: (entry) =>
      operation(`write ${entry.attempt_id.slice(0, 4)}`, () => {
        host.disk.set(entry.attempt_id, entry);
        ledger.escrowed(entry);
      }),
    list: () =>
      operation('list', () => {
        const entries = [...host.disk.values()].sort((a, b) => a.received_at - b.received_at);
        return { entries, unreadable: 0 };
      }),
    clear: (attempt_id) =>
      operation(`clear ${attempt_id.slice(0, 4)}`, () => {
        const entry = host.disk.get(attempt_id);
        host.disk.delete(attempt_id);
        if (entry) ledger.cleared(life, entry);
      }),
  };
}

type Network = { reply: TokenReply | null; request_takes: number; reply_takes: number; processed: boolean };

/** How one request and its reply fare on their ways. Nothing is processed later than the lease allows (rule 7). */
function network(world: World): Network {
  const { dice, plan, provider, turbulent, scheduler } = world;
  const way: Network = {
    reply: null,
    request_takes: dice.between(20, 150),
    reply_takes: dice.between(5, 60),
    processed: true,
  };
  if (!turbulent) return way;
  if (plan.slow && dice.chance(0.4)) way.request_takes = dice.between(0, 75_000);
  if (plan.slow && dice.chance(0.4)) way.reply_takes = dice.between(0, 320_000);
  const lost = plan.faults.has('lost') ? dice.fraction() : 1;
  if (lost < 0.06) return { ...way, processed: false, reply: { type: 'not_sent', error_class: 'connect' } };
  const broken: TokenReply = { type: 'unknown', error_class: 'reset' };
  const silent = dice.chance(0.5);
  if (silent && lost < 0.2) way.reply_takes = Number.POSITIVE_INFINITY;
  if (lost < 0.11) return { ...way, processed: false, reply: broken };
  if (lost < 0.2) return { ...way, reply: broken };
  if (world.provider_down_until > scheduler.now) {
    const reply = dice.pick<() => TokenReply>([
      () => ({ type: 'not_sent', error_class: 'connect' }),
      () => provider.refusal(),
    ])();
    return { ...way, processed: false, reply };
  }
  return way;
}

function exchange(
  world: World,
  life: Life,
  label: string,
  listen_ms: number,
  process: () => Answered,
  presentation: Presentation | null,
): Promise<TokenReply> {
  const { scheduler, provider, ledger } = world;
  const way = network(world);
  return new Promise((resolve) => {
    let issued: Issued | null = null;
    const deliver = (reply: TokenReply) => {
      if (presentation) presentation.listening = false;
      const arrived = provider.contentsOf(reply);
      if (issued && issued.fate === 'under way') issued.fate = arrived ? 'received' : 'never arrived';
      if (arrived) ledger.received(life, arrived);
      world.tell(`${life.name} ${label}: reply ${describe(reply)}${arrived ? ` with ${arrived.refresh}` : ''}`);
      resolve(reply);
    };
    const timeout = world.act(life, listen_ms, `${life.name} reply times out`, () =>
      deliver({ type: 'unknown', error_class: 'timeout' }),
    );
    scheduler.after(way.request_takes, `provider ${label}`, () => {
      if (presentation) presentation.under_way = false;
      const answered = way.processed ? process() : null;
      issued = answered?.issued ?? null;
      world.tell(
        `provider: ${label} ${answered ? `processed${issued ? `, issues ${issued.refresh}` : ', refused'}` : 'does not arrive'}`,
      );
      const reply = way.reply ?? answered?.reply;
      if (!reply || way.reply_takes === Number.POSITIVE_INFINITY) return;
      world.act(life, way.reply_takes, `${life.name} reply of ${label}`, () => {
        if (timeout.cancelled || !presentationOpen(presentation, timeout, scheduler.now)) return;
        timeout.cancelled = true;
        deliver(reply);
      });
    });
  });
}

/** After its timeout nobody listens any more. */
function presentationOpen(presentation: Presentation | null, timeout: Task, now: number): boolean {
  return presentation ? presentation.listening : timeout.due > now;
}

const describe = (reply: TokenReply) =>
  reply.type === 'answer' ? `${reply.status}` : `${reply.type} ${reply.error_class}`;

export function serverOf(world: World, life: Life): AuthorizationServer {
  const { provider, ledger, scheduler, dice } = world;
  const short = (label: string, ms: number) =>
    new Promise<void>((resolve) => void world.act(life, ms, `${life.name} ${label}`, resolve));
  return {
    codeChallenge: async (verifier) => createHash('sha256').update(verifier).digest('base64url'),
    async discover() {
      await short('discovers', dice.between(20, 200));
      return METADATA;
    },
    register: () => Promise.reject(new Error('this server registers nobody')),
    clientCredentials: () => Promise.reject(new Error('this server knows people only')),
    exchangeCode(_client, { code, listen_ms }) {
      const state = code.replace(/^code-/, '');
      return exchange(world, life, 'code', listen_ms, () => provider.exchange(state, scheduler.now), null);
    },
    refresh(_client, { refresh_token, listen_ms }) {
      const token = refresh_token.reveal();
      const presentation = ledger.presented(life, token);
      const process = () => ledger.processing(presentation, () => provider.refresh(token, scheduler.now));
      return exchange(world, life, token, listen_ms, process, presentation);
    },
    async revoke(_client, { token }) {
      ledger.revoking(life, token.reveal());
      await short('asks for a revocation', dice.between(20, 200));
      const down = world.hasFault('lost') && dice.chance(0.2);
      if (down)
        return { type: 'failed', error_class: 'reset', idp_error_code: null, http_status: null, retry_after: null };
      world.tell(`provider: ends the grant of ${token.reveal()}`);
      provider.revoke(token.reveal());
      return { type: 'revoked' };
    },
  };
}

export function logOf(world: World, life: Life): Log {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      const { error } = fields;
      world.tell(`${life.name} ${level}: ${message}${error instanceof Error ? ` (${error.message})` : ''}`);
      // What this world throws at a process is an AppError or a disk's; anything else is a fault of the process.
      const known = error === undefined || isAppError(error) || error instanceof DiskFault;
      if (!known) world.violate(`a fault in the log: ${message}: ${String(error)}`);
    };
  const log: Log = { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}
