import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuthEvent } from '../../src/contract/schemas.ts';
import { axeFindings, buildPortal, launchBrowser, overflow, screenshot } from './browser-page.ts';
import {
  answering,
  at,
  calls,
  connectedStatus,
  connection,
  down,
  failingStatus,
  GETS_TOKEN,
  history,
  incidentStatus,
  misconfiguredStatus,
  NEVER_LISTED,
  neverConnectedStatus,
  ownClientStatus,
  revokedStatus,
  toolChanges,
} from './fixtures.ts';
import { emptyWorld, startStub, type World } from './stub-platform.ts';

const LONG = 'an-upstream-with-quite-a-long-name-that-still-fits-sixty-three';

function invalid() {
  const issues = [{ path: 'endpoint', message: 'must be an absolute http or https URL' }];
  const oauth = connectedStatus({
    health: 'configuration_invalid',
    configured: false,
    summary:
      'The stored configuration is not valid: endpoint must be an absolute http or https URL. Correct it and save.',
  });
  return connection('broken', {
    issues,
    oauth,
    gateway: null,
    config: { endpoint: 'mcp.example.com', auth_mode: 'oauth' },
  });
}

function oneOfEach() {
  return [
    connection('linear', { description: 'Issues and projects of the product team.' }),
    connection('github', { oauth: failingStatus() }),
    connection('notion', {
      oauth: neverConnectedStatus(),
      gateway: answering({ ...NEVER_LISTED, state: 'needs_person' }),
    }),
    connection('salesforce', { oauth: revokedStatus('idp') }),
    connection('snowflake', { oauth: misconfiguredStatus(), source: 'file' }),
    invalid(),
    connection('docs', {
      oauth: null,
      gateway: down('docs'),
      config: { endpoint: 'http://127.0.0.1:3001/mcp', auth_mode: 'none' },
    }),
    connection('weather', {
      oauth: null,
      gateway: answering(NEVER_LISTED),
      config: { endpoint: 'https://weather.example/mcp', auth_mode: 'api_key', credential: '[REDACTED]' },
    }),
    connection(LONG, {
      config: { endpoint: `https://mcp.example.com/${'tenant-0123456789/'.repeat(9)}mcp`, auth_mode: 'oauth' },
      description: 'A description that somebody wrote with great care and at great length. '.repeat(5),
      oauth: connectedStatus({ scope: `https://example.com/auth/${'very.long.scope.'.repeat(8)}readonly openid` }),
    }),
  ];
}

function tellingEvents(): AuthEvent[] {
  const common = { connection_kind: 'mcp', connection_name: 'linear', idp_host: 'login.example.com' };
  const events: Pick<AuthEvent, 'event_type' | 'actor' | 'detail'>[] = [
    { event_type: 'connect_started', actor: 'dana@example.com', detail: {} },
    {
      event_type: 'token_deleted_revoked',
      actor: 'system:background-refresh',
      detail: { reason: 'invalid_grant', decided_by: 'idp' },
    },
    {
      event_type: 'refresh_failed_revoked',
      actor: 'system:background-refresh',
      detail: { idp_error_code: 'invalid_grant', http_status: 400, decided_by: 'idp' },
    },
    {
      event_type: 'refresh_failed_transient',
      actor: 'system:tool-call',
      detail: { error_class: 'unavailable', http_status: 503, retry_at: at(3) },
    },
    {
      event_type: 'connect_failed',
      actor: 'apikey:terraform',
      detail: { step: 'token_exchange', idp_error_code: 'invalid_client' },
    },
  ];
  return events.map((event, index) => ({
    ...common,
    ...event,
    id: `t${index}`,
    sequence: String(90_000 - index),
    occurred_at: at(-index - 1),
  }));
}

type Scene = {
  path: string;
  world: Partial<World>;
  ready: string;
  /** In this order, before the picture is taken. */
  check?: readonly string[];
  choose?: readonly [label: string, option: string];
  click?: readonly string[];
};

const gatewayOf = ({ state }: ReturnType<typeof connectedStatus>) =>
  state === 'connected' ? answering() : answering({ ...NEVER_LISTED, state: 'needs_person' });

const cardScene = (name: string, oauth: ReturnType<typeof connectedStatus>, events = history(name, 6)): Scene => ({
  path: `/connections/mcp/${name}`,
  world: { connections: [connection(name, { oauth, gateway: gatewayOf(oauth) })], events },
  ready: 'Last changed',
});

const SCENES: Record<string, Scene> = {
  'sign-in': { path: '/connections', world: { signedIn: false }, ready: 'Sign-in needed' },
  empty: { path: '/', world: {}, ready: 'No connections yet' },
  list: { path: '/connections', world: { connections: oneOfEach() }, ready: LONG },
  'list-error': {
    path: '/connections',
    world: {
      failures: { list: { code: 'database_unavailable', detail: 'The database cannot be reached. Try again.' } },
    },
    ready: 'could not be loaded',
  },
  add: { path: '/connections/new', world: {}, ready: 'Paste it as' },
  'add-basic': {
    path: '/connections/new',
    world: {},
    ready: 'Paste it as',
    check: ['HTTP API', 'User name and password'],
    click: ['Add connection'],
  },
  'add-key-in-query': {
    path: '/connections/new',
    world: {},
    ready: 'Paste it as',
    check: ['API key'],
    choose: ['Sent in', 'query'],
    click: ['Add connection'],
  },
  'card-connected': cardScene('linear', connectedStatus(), [...tellingEvents(), ...history('linear', 3)]),
  'card-never': cardScene('notion', neverConnectedStatus(), []),
  'card-revoked-idp': cardScene('salesforce', revokedStatus('idp')),
  'card-revoked-platform': cardScene('salesforce', revokedStatus('platform')),
  'card-revoked-person': cardScene('salesforce', revokedStatus('person')),
  'card-failing': cardScene('github', failingStatus()),
  'card-misconfigured': cardScene('snowflake', misconfiguredStatus()),
  'card-expired': cardScene(
    'github',
    connectedStatus({ health: 'access_token_expired', expires_at: at(-2), summary: 'The access token has expired.' }),
  ),
  'card-bare': cardScene(
    'bare',
    connectedStatus({
      ...{ expires_at: null, scope: null, authenticated_by: null, authenticated_at: null, next_refresh_at: null },
      ...{ has_refresh_token: false, refresh_expires_at: null, last_refreshed_at: null, idp_host: null },
    }),
  ),
  'card-own-client': cardScene('reports', ownClientStatus()),
  'card-own-client-never': cardScene(
    'reports',
    {
      ...neverConnectedStatus(),
      ...GETS_TOKEN,
      summary: 'No token has been acquired yet. Get a token on its page; nobody has to sign in.',
    },
    [],
  ),
  'card-incident': cardScene('github', incidentStatus()),
  test: {
    path: '/connections/mcp/linear',
    world: {
      connections: oneOfEach(),
      testResult: {
        ok: false,
        message:
          'Connected to issues 2.0.0: it offers 13 tools. But its token cannot be renewed: login.example.com accepts this client by client_secret_post, but not by client_secret_basic, which the connection uses: set oauth2_token_endpoint_auth_method to client_secret_post.',
        details: {
          client_authentication: {
            configured: 'client_secret_basic',
            trials: [
              { method: 'client_secret_basic', verdict: 'refused', idp_error_code: 'invalid_client' },
              { method: 'client_secret_post', verdict: 'accepted', idp_error_code: 'invalid_grant' },
            ],
          },
        },
      },
    },
    ready: 'Last changed',
    click: ['Test now'],
  },
  'upstream-down': {
    path: '/connections/mcp/docs',
    world: { connections: oneOfEach() },
    ready: 'Last changed',
  },
  'upstream-never-listed': {
    path: '/connections/mcp/weather',
    world: { connections: oneOfEach() },
    ready: 'Last changed',
    click: ['Calls', 'Tool changes'],
  },
  'upstream-api': {
    path: '/connections/api/github',
    world: {
      connections: [
        connection('github', {
          kind: 'api',
          oauth: null,
          gateway: answering({ tools: 4, prompts: 0, resources: 0 }),
          config: { base_url: 'https://api.github.example', auth_mode: 'bearer', credential: '[REDACTED]' },
        }),
      ],
    },
    ready: 'Last changed',
  },
  calls: {
    path: '/connections/mcp/linear',
    world: {
      connections: oneOfEach(),
      calls: [
        ...calls('linear', 1).map((call) => ({
          ...call,
          id: 'long',
          tool: 'a_tool_with_a_name_that_goes_on_'.repeat(4),
          operation: '/repos/{owner}/{repo}/issues',
        })),
        ...calls('linear', 11),
      ],
      notRecorded: { calls: 12_345, since: at(-300), until: at(-280) },
      toolChanges: toolChanges(12),
    },
    ready: 'Last changed',
    click: ['Calls', 'Tool changes', 'History'],
  },
  'calls-error': {
    path: '/connections/mcp/linear',
    world: {
      connections: oneOfEach(),
      failures: {
        calls: { code: 'database_unavailable', detail: 'The database cannot be reached. Try again.' },
        toolChanges: { code: 'database_unavailable', detail: 'The database cannot be reached. Try again.' },
      },
    },
    ready: 'Last changed',
    click: ['Calls', 'Tool changes', 'History'],
  },
  'card-invalid': { path: '/connections/mcp/broken', world: { connections: [invalid()] }, ready: 'Last changed' },
  'card-long': { path: `/connections/mcp/${LONG}`, world: { connections: oneOfEach() }, ready: 'Last changed' },
  'from-file': {
    path: '/connections/mcp/snowflake',
    world: { connections: oneOfEach() },
    ready: 'Declared in the configuration file',
  },
  'without-oauth': { path: '/connections/mcp/weather', world: { connections: oneOfEach() }, ready: 'Last changed' },
  edit: {
    path: '/connections/mcp/linear',
    world: { connections: oneOfEach() },
    ready: 'Last changed',
    click: ['Edit'],
  },
  delete: {
    path: '/connections/mcp/linear',
    world: { connections: oneOfEach() },
    ready: 'Last changed',
    click: ['Delete'],
  },
  'not-found': { path: '/nowhere', world: {}, ready: 'There is no such page' },
};

const SIZES = { desktop: { width: 1280, height: 900 }, mobile: { width: 390, height: 844 } };

/** Every pair for whoever looks at the pictures; two that cover both themes and both sizes for everybody else. */
const LOOKS = process.env.SCREENSHOT_DIR
  ? ['light-desktop', 'light-mobile', 'dark-desktop', 'dark-mobile']
  : ['light-desktop', 'dark-mobile'];

describe('the look of the portal, in a real browser', () => {
  let portal: Awaited<ReturnType<typeof buildPortal>>;
  let browser: Awaited<ReturnType<typeof launchBrowser>>;

  beforeAll(async () => {
    portal = await buildPortal();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await portal?.remove();
  });

  for (const [name, scene] of Object.entries(SCENES)) {
    it(`shows ${name} readably in both themes, on a desktop and on a phone, with no finding of axe`, async () => {
      const stub = await startStub(portal.folder, { ...emptyWorld(), ...scene.world });
      const findings: Record<string, unknown> = {};
      try {
        for (const colorScheme of ['light', 'dark'] as const) {
          for (const [size, viewport] of Object.entries(SIZES)) {
            if (!LOOKS.includes(`${colorScheme}-${size}`)) continue;
            const context = await browser.newContext({ colorScheme, viewport, reducedMotion: 'reduce' });
            const page = await context.newPage();
            await page.goto(stub.url + scene.path);
            await page.getByText(scene.ready).first().waitFor();
            for (const label of scene.check ?? []) await page.getByLabel(label).check();
            if (scene.choose) await page.getByLabel(scene.choose[0], { exact: true }).selectOption(scene.choose[1]);
            for (const name of scene.click ?? []) await page.getByRole('button', { name, exact: true }).click();
            // Each list that was unfolded has its own.
            await expect.poll(() => page.getByText('Loading').count(), { timeout: 10_000 }).toBe(0);
            await screenshot(page, `${name}-${colorScheme}-${size}`);
            const problems = [...(await axeFindings(page))];
            const wider = await overflow(page);
            if (wider > 0) problems.push(`${wider} px wider than the window`);
            if (problems.length > 0) findings[`${colorScheme} ${size}`] = problems;
            await context.close();
          }
        }
      } finally {
        await stub.close();
      }
      expect(findings).toEqual({});
    });
  }
});
