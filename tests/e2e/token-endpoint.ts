import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A place on the way to the real token endpoint: before the provider has seen the request, or after it has answered. */
export type Place = 'request' | 'reply';
export type Held = {
  /** Whether a refresh has got there. */
  arrived(): boolean;
  release(): void;
};

/** What may become of a refresh on its way. Only after `reply_lost` has the provider seen it. */
export type Mishap = 'reset' | 'web_page' | 'unavailable' | 'reply_lost';

/** One refresh that reached this place, in the order of arrival. Tokens are held to compare them, and shown to nobody. */
export type Presentation = {
  token: string;
  /** Which consent the token descends from, counted from 0. */
  family: number;
  at: number;
  /** Passed on to the provider. */
  presented: boolean;
  answered_at: number | null;
  /** The token of a success. */
  successor: string | null;
  /** The whole answer was handed to the sender's side of the connection. */
  delivered: boolean;
};

export type TokenEndpoint = {
  url: string;
  presentations: Presentation[];
  /** How many consents have been redeemed, and the first refresh token of the latest. */
  consents(): { count: number; latest: string };
  /** Asked for each refresh before the provider sees it. */
  mishaps(next: (() => Mishap | undefined) | undefined): void;
  clientId: string;
  clientSecret: string;
  /** Every token, code, verifier and client secret that went either way. */
  secrets: Set<string>;
  /** How many refreshes the provider has been asked for. */
  refreshes(): number;
  /** Requests that have not been answered. */
  open(): number;
  /** Stops the next refresh at a place until it is released; one whose sender has gone meanwhile goes nowhere. */
  holdNextRefresh(place: Place): Held;
  /** Ends the grant at the provider, by its revocation endpoint: as when the person takes it back there. */
  revoke(): Promise<void>;
  close(): Promise<void>;
};

type Metadata = { token_endpoint: string; registration_endpoint: string; revocation_endpoint: string };

const SECRET_FIELDS = ['access_token', 'refresh_token', 'id_token', 'code', 'code_verifier', 'client_secret'];

/**
 * Stands before the token endpoint of a real identity provider, passes everything on unchanged, and knows what went
 * by. The client is registered with a secret, as an operator would do it by hand.
 */
export async function startTokenEndpoint(issuer: string, redirectUri: string): Promise<TokenEndpoint> {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  const metadata = (await answer.json()) as Metadata;
  const registered = await fetch(metadata.registration_endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'end-to-end',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_post',
    }),
  });
  const { client_id, client_secret } = (await registered.json()) as { client_id: string; client_secret: string };
  const client = { client_id, client_secret };
  const secrets = new Set<string>([client.client_secret]);
  let refreshes = 0;
  let open = 0;
  let latest = '';
  let latestConsent = '';
  let consents = 0;
  const families = new Map<string, number>();
  const presentations: Presentation[] = [];
  let nextMishap: (() => Mishap | undefined) | undefined;
  let hold: { place: Place; arrived(): void; released: Promise<void> } | undefined;

  const keep = (fields: Iterable<[string, unknown]>) => {
    for (const [name, value] of fields) {
      if (SECRET_FIELDS.includes(name) && typeof value === 'string') secrets.add(value);
    }
  };

  async function stopAt(place: Place, current: typeof hold): Promise<void> {
    if (current?.place !== place) return;
    current.arrived();
    await current.released;
  }

  async function pass(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const form = await text(req);
    const fields = new URLSearchParams(form);
    keep(fields);
    if (fields.get('grant_type') === 'refresh_token') return passRefresh(req, res, form);
    const reply = await forward(metadata.token_endpoint, req, form);
    const given = JSON.parse(reply.body) as Record<string, unknown>;
    keep(Object.entries(given));
    if (typeof given.refresh_token === 'string') {
      latest = latestConsent = given.refresh_token;
      families.set(latest, consents);
      consents += 1;
    }
    await sendBack(res, reply);
  }

  async function passRefresh(req: IncomingMessage, res: ServerResponse, form: string): Promise<void> {
    const token = new URLSearchParams(form).get('refresh_token') ?? '';
    const presentation: Presentation = {
      token,
      family: families.get(token) ?? -1,
      at: Date.now(),
      presented: false,
      answered_at: null,
      successor: null,
      delivered: false,
    };
    presentations.push(presentation);
    const held = hold;
    hold = undefined;
    await stopAt('request', held);
    if (res.destroyed) return;
    const mishap = nextMishap?.();
    if (mishap !== undefined && mishap !== 'reply_lost') return suffer(res, mishap);
    presentation.presented = true;
    refreshes += 1;
    const reply = await forward(metadata.token_endpoint, req, form).catch((error: NodeJS.ErrnoException) => {
      presentation.presented = error.code !== 'ECONNREFUSED';
      throw error;
    });
    presentation.answered_at = Date.now();
    const given = JSON.parse(reply.body) as Record<string, unknown>;
    keep(Object.entries(given));
    if (typeof given.refresh_token === 'string') {
      latest = presentation.successor = given.refresh_token;
      families.set(latest, presentation.family);
    }
    await stopAt('reply', held);
    if (mishap === 'reply_lost') res.destroy();
    presentation.delivered = await sendBack(res, reply);
  }

  const server = createServer((req, res) => {
    open += 1;
    res.once('close', () => {
      open -= 1;
    });
    pass(req, res).catch(() => res.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    presentations,
    consents: () => ({ count: consents, latest: latestConsent }),
    mishaps(next) {
      nextMishap = next;
    },
    clientId: client.client_id,
    clientSecret: client.client_secret,
    secrets,
    refreshes: () => refreshes,
    open: () => open,
    holdNextRefresh(place) {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      let there = false;
      hold = {
        place,
        arrived: () => {
          there = true;
        },
        released,
      };
      return { arrived: () => there, release };
    },
    async revoke() {
      const body = new URLSearchParams({ token: latest, token_type_hint: 'refresh_token', ...client });
      const revoked = await fetch(metadata.revocation_endpoint, { method: 'POST', body });
      if (!revoked.ok) throw new Error(`the revocation endpoint answered ${revoked.status}`);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Whether all of it was handed over. */
function sendBack(res: ServerResponse, { status, body }: { status: number; body: string }): Promise<boolean> {
  if (res.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    res.once('finish', () => resolve(true)).once('close', () => resolve(res.writableFinished));
    res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(body);
  });
}

function suffer(res: ServerResponse, mishap: Exclude<Mishap, 'reply_lost'>): void {
  if (mishap === 'reset') res.destroy();
  else if (mishap === 'web_page') res.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
  else res.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' }).end('{}');
}

function forward(endpoint: string, req: IncomingMessage, form: string): Promise<{ status: number; body: string }> {
  const { 'content-type': type, authorization } = req.headers;
  const headers = { 'content-type': type ?? '', ...(authorization ? { authorization } : {}) };
  return new Promise((resolve, reject) => {
    // A connection of its own for each: one that was kept would not tell a provider that is gone from one that hung up.
    const ahead = request(endpoint, { method: 'POST', headers, agent: false }, (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 502, body }), reject);
    });
    ahead.on('error', reject);
    ahead.end(form);
  });
}

/** The configuration of a connection that reaches its provider's token endpoint by way of ours. */
export function connectionBy(endpoint: TokenEndpoint, issuer: string, upstreamUrl: string): Record<string, unknown> {
  return {
    endpoint: upstreamUrl,
    auth_mode: 'oauth',
    oauth2_issuer: issuer,
    oauth2_authorization_url: `${issuer}/auth`,
    oauth2_token_url: endpoint.url,
    oauth2_client_id: endpoint.clientId,
    oauth2_client_secret: endpoint.clientSecret,
    oauth2_token_endpoint_auth_method: 'client_secret_post',
    oauth2_scope: 'openid offline_access mcp',
  };
}
