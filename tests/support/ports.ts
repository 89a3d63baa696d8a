import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { issuerOf } from '../../src/core/credential.ts';
import type {
  AuthorizationServer,
  CallBeginning,
  CallEnd,
  CallRecorder,
  Clock,
  Escrow,
  EscrowEntry,
  Fingerprint,
  Notifier,
  NotifyChannel,
  Random,
  RegisteredClient,
  RevocationReply,
  ServerMetadata,
  TokenRequestClient,
} from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import type { TokenReply } from '../../src/core/token-response.ts';
import type { Instant } from '../../src/core/token-set.ts';

type Sleeper = { ms: number; due: number; wake(): void };

export type FakeClock = Clock & {
  /** Lets time pass: whoever sleeps wakes in order, each at its own moment. */
  advance(ms: number): Promise<void>;
  /** The wall clock alone jumps, as after a suspend or a correction. */
  jump(ms: number): void;
  /** What is being slept for right now, in milliseconds as asked. */
  readonly sleeping: number[];
};

/** Time that passes only when the test says so. */
export function fakeClock(start: Instant): FakeClock {
  let wall = start;
  let monotonic = 0;
  const sleepers = new Set<Sleeper>();

  const passTo = (moment: number) => {
    wall += moment - monotonic;
    monotonic = moment;
  };
  const earliest = (limit: number) => [...sleepers].filter(({ due }) => due <= limit).sort((a, b) => a.due - b.due)[0];

  return {
    now: () => wall,
    monotonic: () => monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          sleepers.delete(sleeper);
          resolve();
        };
        const sleeper: Sleeper = { ms, due: monotonic + Math.max(ms, 0), wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', wake, { once: true });
      }),
    timeout(ms) {
      const controller = new AbortController();
      const wake = () => {
        sleepers.delete(sleeper);
        controller.abort(new DOMException('timeout', 'TimeoutError'));
      };
      const sleeper: Sleeper = { ms, due: monotonic + ms, wake };
      sleepers.add(sleeper);
      return controller.signal;
    },
    async advance(ms) {
      const end = monotonic + ms;
      for (let next = earliest(end); next; next = earliest(end)) {
        passTo(Math.max(next.due, monotonic));
        next.wake();
        await turn();
      }
      passTo(end);
      await turn();
    },
    jump(ms) {
      wall += ms;
    },
    get sleeping() {
      return [...sleepers].map(({ ms }) => ms);
    },
  };
}

/** The same chance at every run. */
export function seededRandom(seed = 1): Random & { next: number | undefined } {
  let state = seed >>> 0;
  const draw = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(draw() * 256));
  const random = {
    next: undefined as number | undefined,
    bytes,
    uuid() {
      const hex = Buffer.from(bytes(16)).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
    fraction: () => random.next ?? draw(),
  };
  return random;
}

export const testFingerprint: Fingerprint = (token) =>
  createHash('sha256').update(token.reveal()).digest('hex').slice(0, 16);

/** What lies on a disk: it outlives the process that wrote it. */
export function memoryEscrow(): Escrow & { entries: Map<string, EscrowEntry> } {
  const entries = new Map<string, EscrowEntry>();
  return {
    entries,
    async write(entry) {
      entries.set(entry.attempt_id, entry);
    },
    list: async () => ({ entries: [...entries.values()], unreadable: 0 }),
    async clear(attempt_id) {
      entries.delete(attempt_id);
    },
  };
}

export function memoryNotifier(): Notifier & { published: string[] } {
  const listeners = new Map<NotifyChannel, Set<(payload: string) => void>>();
  const published: string[] = [];
  return {
    published,
    async publish(channel, payload) {
      published.push(`${channel} ${payload}`);
      for (const listener of listeners.get(channel) ?? []) listener(payload);
    },
    subscribe(channel, listener) {
      const set = listeners.get(channel) ?? new Set();
      listeners.set(channel, set.add(listener));
      return () => set.delete(listener);
    },
  };
}

/** A recorder that keeps what it is told, each call with its end. */
export function memoryCalls(): CallRecorder & { ended: (CallBeginning & CallEnd)[] } {
  const ended: (CallBeginning & CallEnd)[] = [];
  return { ended, begin: (call) => (end) => void ended.push({ ...call, ...end }) };
}

export type Deferred<T> = { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void };

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

export function answer(
  body: unknown,
  fields: { status?: number; media_type?: string; retry_after?: number | null } = {},
): TokenReply {
  return {
    type: 'answer',
    status: 200,
    media_type: 'application/json',
    retry_after: null,
    body: new Secret(typeof body === 'string' ? body : JSON.stringify(body)),
    ...fields,
  };
}

export const INVALID_GRANT = answer(
  { error: 'invalid_grant', error_description: 'said-in-confidence' },
  { status: 400 },
);

/** What the server does with one request; `honest` is how it behaves by itself. */
export type Script = (honest: () => TokenReply, request: { listen_ms: number }) => TokenReply | Promise<TokenReply>;

export type Presentation = { token: string; client: TokenRequestClient };

/**
 * A strict authorization server: each refresh token is good once, and its reuse ends the family (RFC 9700 §4.14.2).
 * Tokens of family `f0` are `refresh-f0t0`, `refresh-f0t1`, … `script` steers the next requests, one function each.
 */
export function scriptedServer(metadata: Partial<ServerMetadata> = {}) {
  const families = new Map<string, { current: number; dead: boolean }>();
  const refreshScripts: Script[] = [];
  const exchangeScripts: Script[] = [];
  const askScripts: ((honest: () => TokenReply) => TokenReply | Promise<TokenReply>)[] = [];
  let consents = 0;

  const tokensOf = (family: string, index: number, more: object = {}) =>
    answer({
      access_token: `access-${family}t${index}`,
      refresh_token: `refresh-${family}t${index}`,
      token_type: 'Bearer',
      expires_in: 3600,
      ...more,
    });

  function rotate(token: string): TokenReply {
    const [, name, index] = /^refresh-(\w+)t(\d+)$/.exec(token) ?? [];
    if (name === undefined) return INVALID_GRANT;
    const family = families.get(name) ?? { current: 0, dead: false };
    families.set(name, family);
    if (Number(index) !== family.current) family.dead = true;
    if (family.dead) return INVALID_GRANT;
    family.current += 1;
    return tokensOf(name, family.current);
  }

  const server = {
    presented: [] as Presentation[],
    exchanged: [] as { code: string; redirect_uri: string; code_verifier: string; client: TokenRequestClient }[],
    revoked: [] as string[],
    /** The clients that asked in their own name. */
    asked: [] as TokenRequestClient[],
    registered: [] as { redirect_uri: string; scope: string | null; trust: string }[],
    metadata: {
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
      ...metadata,
    } as ServerMetadata,
    discoverFails: undefined as Error | undefined,
    revokeAnswers: { type: 'revoked' } as RevocationReply | Error,
    /** The next answers to a revocation, before `revokeAnswers`. */
    revokeNext: [] as (() => Promise<RevocationReply>)[],
    onRefresh: (...scripts: Script[]) => void refreshScripts.push(...scripts),
    onAsk: (...scripts: typeof askScripts) => void askScripts.push(...scripts),
    onExchange: (...scripts: Script[]) => void exchangeScripts.push(...scripts),
    /** The server ends the grant, as when its user withdraws it. */
    kill: (family: string) => void families.set(family, { current: -1, dead: true }),

    codeChallenge: async (verifier: string) => createHash('sha256').update(verifier).digest('base64url'),
    async discover() {
      if (server.discoverFails) throw server.discoverFails;
      return server.metadata;
    },
    async register(
      registering: ServerMetadata,
      request: { redirect_uri: string; scope: string | null; trust: string },
    ) {
      server.registered.push(request);
      const client: RegisteredClient = {
        issuer: issuerOf(registering),
        redirect_uri: request.redirect_uri,
        client_id: `registered-${server.registered.length}`,
        client_secret: new Secret('registered-secret'),
        token_endpoint_auth_method: 'client_secret_basic',
        client_secret_expires_at: null,
      };
      return client;
    },
    async exchangeCode(client: TokenRequestClient, request: Parameters<AuthorizationServer['exchangeCode']>[1]) {
      const { code, redirect_uri, code_verifier } = request;
      server.exchanged.push({ code, redirect_uri, code_verifier: code_verifier.reveal(), client });
      const honest = () => {
        consents += 1;
        families.set(`c${consents}`, { current: 0, dead: false });
        return tokensOf(`c${consents}`, 0);
      };
      return (exchangeScripts.shift() ?? ((run) => run()))(honest, request);
    },
    async clientCredentials(client: TokenRequestClient) {
      server.asked.push(client);
      const honest = () =>
        answer({ access_token: `access-own${server.asked.length}`, token_type: 'Bearer', expires_in: 3600 });
      return (askScripts.shift() ?? ((run) => run()))(honest);
    },
    async refresh(client: TokenRequestClient, request: Parameters<AuthorizationServer['refresh']>[1]) {
      const token = request.refresh_token.reveal();
      server.presented.push({ token, client });
      return (refreshScripts.shift() ?? ((run) => run()))(() => rotate(token), request);
    },
    async revoke(_client: TokenRequestClient, request: { token: Secret }) {
      server.revoked.push(request.token.reveal());
      const next = server.revokeNext.shift();
      if (next) return next();
      if (server.revokeAnswers instanceof Error) throw server.revokeAnswers;
      return server.revokeAnswers;
    },
  };
  return server satisfies AuthorizationServer as typeof server & AuthorizationServer;
}

export type ScriptedServer = ReturnType<typeof scriptedServer>;
