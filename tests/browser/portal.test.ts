import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { axeFindings, buildPortal, launchBrowser } from './browser-page.ts';
import {
  answering,
  at,
  calls,
  connectedStatus,
  connection,
  down,
  history,
  NEVER_LISTED,
  neverConnectedStatus,
  revokedStatus,
  toolChanges,
} from './fixtures.ts';
import { emptyWorld, startStub, type World } from './stub-platform.ts';

const LINEAR = '/connections/mcp/linear';

describe('the portal, in a real browser', () => {
  let portal: Awaited<ReturnType<typeof buildPortal>>;
  let browser: Awaited<ReturnType<typeof launchBrowser>>;
  let stub: Awaited<ReturnType<typeof startStub>>;
  let context: typeof browser;
  let page: typeof browser;
  let world: World;
  let complaints: string[];

  beforeAll(async () => {
    portal = await buildPortal();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await portal?.remove();
  });
  beforeEach(async () => {
    world = { ...emptyWorld(), connections: [connection('linear')], events: history('linear', 70) };
    stub = await startStub(portal.folder, world);
    context = await browser.newContext({ reducedMotion: 'reduce' });
    page = await context.newPage();
    complaints = [];
    page.on('pageerror', (error: Error) => complaints.push(error.message));
    page.on('console', (message: { type: () => string; text: () => string }) => {
      // A refused request is the browser's own line; everything else, such as a breach of the policy, is a fault.
      if (message.type() === 'error' && !message.text().includes('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
  });
  afterEach(async () => {
    await context.close();
    await stub.close();
    expect(complaints).toEqual([]);
  });

  const open = (path: string) => page.goto(stub.url + path);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const seen = (text: string | RegExp) => page.getByText(text).first().waitFor();
  const asked = (operation: string) => world.requests.filter((each) => each.operation === operation);

  it('has an axe that finds a planted fault', async () => {
    await open('/connections');
    await seen('linear');
    await page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<input><img src=x>')");
    expect((await axeFindings(page)).join('\n')).toMatch(/label at/);
  });

  it('asks for a sign-in in place of the page, and comes back to the same page', async () => {
    world.signedIn = false;
    await open(`${LINEAR}`);
    await seen('Sign-in needed');
    await seen('mcp-data-platform link');
    await page.getByLabel('Admin key', { exact: true }).fill('an-admin-key');
    await button('Sign in').click();
    await seen('Last changed');
    expect(new URL(page.url()).pathname).toBe(LINEAR);
    expect(asked('sign-in')[0]?.body).toEqual({ key: 'an-admin-key', return_to: LINEAR });
  });

  it('replaces what it shows by the sign-in when the session ends, with no stale data left', async () => {
    await open(LINEAR);
    await seen('Last changed');
    world.signedIn = false;
    await seen('Sign-in needed');
    expect(await page.getByText('Last changed').count()).toBe(0);
    world.signedIn = true;
    // As a tab does that its person returns to from the one where the link was opened.
    await page.evaluate("window.dispatchEvent(new Event('visibilitychange'))");
    await seen('Last changed');
  });

  it('adds a connection by a pasted URL and a click, and leads to its page', async () => {
    world.connections = [];
    await open('/');
    await page.getByRole('link', { name: 'Add connection' }).click();
    await page.getByLabel('URL of the MCP server').fill('https://mcp.notion.com/mcp');
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('notion');
    await button('Add connection').click();
    await page.getByRole('heading', { name: 'notion' }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/connections/mcp/notion');
    expect(asked('put')[0]?.body).toEqual({
      config: { endpoint: 'https://mcp.notion.com/mcp', auth_mode: 'oauth' },
      description: '',
    });
  });

  it('shows the issues of the server at their fields and keeps what was typed', async () => {
    const issues = [
      { path: 'endpoint', message: 'must be an absolute http or https URL' },
      { path: 'credential', message: 'must not contain line breaks' },
    ];
    world.failures.put = { code: 'invalid_config', detail: 'Not saved.', issues };
    await open('/connections/new');
    await page.getByLabel('URL of the MCP server').fill('not a url');
    await page.getByLabel('Name', { exact: true }).fill('notes');
    await page.getByLabel('Bearer token').check();
    await page.getByLabel('Token', { exact: true }).fill('secret');
    await button('Add connection').click();
    await seen('Must be an absolute http or https URL');
    expect(await page.getByLabel('URL of the MCP server').getAttribute('aria-invalid')).toBe('true');
    await seen('Must not contain line breaks');
    expect(await page.getByLabel('Token', { exact: true }).inputValue()).toBe('secret');
  });

  it.each([
    [
      'a user name and password',
      'User name and password',
      { 'User name': 'us', Password: 'secret' },
      { auth_mode: 'basic', username: 'us', password: 'secret' },
    ],
    [
      'a key in the query',
      'API key',
      { 'Sent in': 'query', Key: 'secret', 'Query parameter': 'token' },
      { auth_mode: 'api_key', api_key_placement: 'query', credential: 'secret', api_key_param: 'token' },
    ],
  ])('adds an API with %s, and names each field that is needed', async (_, mode, fields, config) => {
    world.connections = [];
    await open('/connections/new');
    await page.getByLabel('HTTP API').check();
    await page.getByLabel('Base URL of the API').fill('https://api.example.com/v1');
    await page.getByLabel(mode).check();
    const field = (label: string) => page.getByLabel(label, { exact: true });
    if ('Sent in' in fields) await field('Sent in').selectOption('query');
    await button('Add connection').click();
    for (const label of Object.keys(fields).filter((each) => each !== 'Sent in')) {
      await expect.poll(() => field(label).getAttribute('aria-invalid')).toBe('true');
    }
    await seen('Correct the fields that are marked');
    expect(asked('put')).toEqual([]);
    for (const [label, text] of Object.entries(fields)) if (label !== 'Sent in') await field(label).fill(text);
    await button('Add connection').click();
    await page.getByRole('heading', { name: 'example' }).waitFor();
    expect(asked('put')[0]?.body).toEqual({
      config: { base_url: 'https://api.example.com/v1', ...config },
      description: '',
    });
  });

  it('never replaces a connection when one is added under its name', async () => {
    await open('/connections/new');
    await page.getByLabel('URL of the MCP server').fill('https://mcp.linear.app/mcp');
    const name = page.getByLabel('Name', { exact: true });
    await expect.poll(() => name.inputValue()).toBe('linear-2');
    await name.fill('linear');
    await button('Add connection').click();
    await seen('Is taken: there is a connection linear already');
    expect(asked('put')).toEqual([]);
  });

  it('leaves for the identity provider in the same tab and asks to come back to this page', async () => {
    world.connections = [connection('linear', { oauth: neverConnectedStatus() })];
    await open(LINEAR);
    await button('Connect').click();
    await page.getByRole('heading', { name: 'Identity provider' }).waitFor();
    expect(asked('connect')[0]?.body).toEqual({ return_url: LINEAR });
    expect(context.pages()).toHaveLength(1);
  });

  it('says that the connection is made after the return, once', async () => {
    world.connections = [connection('linear', { oauth: connectedStatus({ authenticated_at: at(-0.1) }) })];
    await open(`${LINEAR}?connected=1`);
    await seen('linear is connected');
    expect(new URL(page.url()).search).toBe('');
    await page.reload();
    await seen('Last changed');
    expect(await page.getByText('linear is connected').count()).toBe(0);
  });

  it('does not claim a connection that the row does not bear out (lesson 27)', async () => {
    world.connections = [connection('linear', { oauth: revokedStatus('idp') })];
    await open(`${LINEAR}?connected=1`);
    await seen('Rejected by login.example.com');
    expect(await page.getByText('linear is connected').count()).toBe(0);
  });

  it('words a rejection, a verdict of the platform and a person’s act differently (lesson 18)', async () => {
    for (const [decider, words] of [
      ['idp', 'Rejected by login.example.com'],
      ['platform', 'Ended by this platform'],
      ['person', 'Ended by a person'],
    ] as const) {
      world.connections = [connection('linear', { oauth: revokedStatus(decider) })];
      await open(LINEAR);
      await seen(words);
    }
  });

  it('tells what came of Refresh now, the failures too (lesson 23)', async () => {
    world.afterRefresh = connectedStatus();
    await open(LINEAR);
    await button('Refresh now').click();
    await seen('A new token has come');
    world.failures.refresh = { code: 'needs_person', detail: 'The grant is gone. Reconnect it.' };
    await button('Refresh now').click();
    await seen('The grant is gone. Reconnect it.');
    world.failures.refresh = { code: 'unavailable', detail: 'An attempt is open. Try again in 30 s.' };
    await button('Refresh now').click();
    await seen('Not refreshed yet');
  });

  it('disconnects only after naming what follows, and tells what became of the token at its server', async () => {
    world.afterRefresh = revokedStatus('person');
    await open(LINEAR);
    await button('Disconnect').click();
    await page.getByRole('alertdialog').getByText('until somebody signs in again').waitFor();
    world.failures.disconnect = { code: 'conflict', detail: 'It is being refreshed right now. Try again.' };
    await button('Disconnect now').click();
    await seen('Not disconnected');
    delete world.failures.disconnect;
    await button('Disconnect now').click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    await seen('offers no revocation endpoint');
  });

  it('tests a connection of any auth mode and shows what came of it', async () => {
    world.connections = [
      connection('linear', { oauth: null, config: { endpoint: 'http://x/mcp', auth_mode: 'none' } }),
    ];
    await open(LINEAR);
    await button('Test now').click();
    await seen('It answered and lists 12 tools.');
    world.testResult = { ok: false, message: 'x refused the connection.', details: {} };
    await button('Test now').click();
    await seen('x refused the connection.');
  });

  it('keeps stored secrets on save and sends new ones', async () => {
    const config = {
      endpoint: 'https://x.example/mcp',
      auth_mode: 'bearer',
      credential: '[REDACTED]',
      call_timeout: '5s',
    };
    world.connections = [connection('linear', { oauth: null, config })];
    await open(LINEAR);
    await button('Edit').click();
    await page.getByLabel('Description').fill('Notes');
    await button('Save').click();
    await button('Edit').waitFor();
    expect(asked('put')[0]?.body).toEqual({ config, description: 'Notes' });
    await button('Edit').click();
    await page.getByLabel('Token', { exact: true }).fill('a new one');
    await button('Save').click();
    await button('Edit').waitFor();
    expect(asked('put')[1]?.body).toMatchObject({ config: { credential: 'a new one' } });
  });

  it('offers no edit and no delete for what the configuration file declares', async () => {
    world.connections = [connection('linear', { source: 'file' })];
    await open(LINEAR);
    await seen('Declared in the configuration file');
    expect(await button('Edit').count()).toBe(0);
    expect(await button('Delete').count()).toBe(0);
  });

  it('deletes only after naming what is lost, and can be left by the keyboard', async () => {
    await open(LINEAR);
    await button('Delete').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('alertdialog').getByText('linear__').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    expect(asked('delete')).toEqual([]);
    await expect.poll(() => page.evaluate('document.activeElement.textContent')).toBe('Delete');
    await button('Delete').click();
    await button('Delete connection').click();
    await seen('No connections yet');
    expect(asked('delete')).toHaveLength(1);
  });

  it('shows the newest 30 events, more on request, and folds away', async () => {
    const rows = page.locator('[data-event]');
    await open(LINEAR);
    await expect.poll(() => rows.count()).toBe(30);
    expect(await rows.first().textContent()).toMatch(/Token refreshed.*Background refresh.*refresh token rotated/);
    await button('Load more').click();
    await expect.poll(() => rows.count()).toBe(60);
    await button('Load more').click();
    await expect.poll(() => rows.count()).toBe(70);
    expect(await button('Load more').count()).toBe(0);
    await page.getByRole('button', { name: 'History' }).click();
    await expect.poll(() => rows.count()).toBe(0);
  });

  it('tells on the list which upstreams are unavailable or were never listed, and leaves the OAuth state as it is', async () => {
    world.connections = [
      connection('linear'),
      connection('github', { gateway: down('github') }),
      connection('docs', { oauth: null, gateway: answering(NEVER_LISTED) }),
      connection('notion', {
        oauth: neverConnectedStatus(),
        gateway: answering({ ...NEVER_LISTED, state: 'needs_person' }),
      }),
    ];
    await open('/connections');
    const row = (name: string) => page.getByRole('listitem').filter({ has: page.getByRole('link', { name }) });
    expect(await row('github').textContent()).toMatch(/Connected.*Upstream unavailable/);
    expect(await row('docs').textContent()).toContain('Never listed');
    expect(await row('notion').textContent()).toMatch(/Never connected(?!.*(Never listed|Needs a person))/);
    expect(await row('linear').textContent()).not.toMatch(/Upstream|listed/);
  });

  it('says of an upstream how it is, what failed last and when, and what it offers', async () => {
    world.connections = [connection('linear', { gateway: down('linear') })];
    await open(LINEAR);
    const card = page.getByRole('region', { name: 'Upstream' });
    await card.waitFor();
    expect(await card.textContent()).toMatch(
      /Upstream unavailable.*It cannot be reached.*Last success3 hours ago.*Last listed3 hours ago.*Offers23 tools, 2 prompts, 140 resources.*Last failure2 minutes ago.*does not accept connections/,
    );
    world.connections = [connection('linear', { gateway: answering() })];
    await card.getByText('Upstream answers').waitFor();
    expect(await card.textContent()).toContain('None since this server started');
  });

  it('shows the newest 30 calls when they are asked for, more on request, and narrows them by outcome', async () => {
    world.calls = calls('linear', 40);
    const rows = page.locator('[data-call]');
    await open(LINEAR);
    await seen('Last changed');
    expect(asked('calls')).toEqual([]);
    await button('Calls').click();
    await expect.poll(() => rows.count()).toBe(30);
    expect(await rows.first().textContent()).toMatch(
      /list_issues.*Answered · API key nightly-agents · 14 ms · 120 B sent/,
    );
    await page.getByRole('region', { name: 'Calls' }).getByRole('button', { name: 'Load more' }).click();
    await expect.poll(() => rows.count()).toBe(40);
    await page.getByLabel('Outcome').selectOption('No answer in time');
    await expect.poll(() => rows.count()).toBe(4);
    await page.getByLabel('Outcome').selectOption('Every failure');
    await expect.poll(() => rows.count()).toBe(28);
    expect(await page.locator('[data-call=ok]').count()).toBe(0);
    world.calls = [];
    await seen('No call is recorded that ended so.');
  });

  it('says how many calls have no record, and does not take a failed load for an empty list', async () => {
    world.notRecorded = { calls: 1_280, since: at(-300), until: at(-280) };
    await open(LINEAR);
    await button('Calls').click();
    await seen('Not recorded: 1,280 calls');
    await seen('No call is recorded.');
    world.failures.calls = { code: 'database_unavailable', detail: 'The database cannot be reached.' };
    world.failures.toolChanges = world.failures.calls;
    await open(LINEAR);
    await button('Calls').click();
    await button('Tool changes').click();
    await seen('The calls could not be loaded');
    await seen('The tool changes could not be loaded');
    expect(await page.getByText(/No call is recorded|No tool has changed/).count()).toBe(0);
  });

  it('lists how the tools changed, newest first, and which parts', async () => {
    world.toolChanges = toolChanges(12);
    const rows = page.locator('[data-tool-change]');
    await open(LINEAR);
    await button('Tool changes').click();
    await expect.poll(() => rows.count()).toBe(10);
    expect(await rows.first().textContent()).toMatch(/create_issue1 hour agoChanged: description, input schema/);
    await page.getByRole('region', { name: 'Tool changes' }).getByRole('button', { name: 'Load more' }).click();
    await expect.poll(() => rows.count()).toBe(12);
  });

  it('does not take a failed load for an empty history or an empty list', async () => {
    world.failures.history = { code: 'database_unavailable', detail: 'The database cannot be reached.' };
    world.failures.list = world.failures.history;
    await open(LINEAR);
    await seen('The history could not be loaded');
    expect(await page.getByText('Nothing has happened yet').count()).toBe(0);
    await open('/connections');
    await seen('The connections could not be loaded');
    expect(await page.getByText('No connections yet').count()).toBe(0);
    delete world.failures.list;
    await button('Try again').click();
    await page.getByRole('link', { name: 'linear' }).waitFor();
  });

  it('notices by itself what changes on the server', async () => {
    await open('/connections');
    await seen('Connected');
    world.connections = [connection('linear', { oauth: revokedStatus('idp') })];
    await seen('Revoked');
  });

  it('remembers the chosen theme', async () => {
    await open('/connections');
    await button('Dark').click();
    await page.reload();
    await seen('linear');
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
    expect(await page.evaluate('getComputedStyle(document.documentElement).colorScheme')).toBe('dark');
  });

  it('signs out', async () => {
    await open('/connections');
    await button('Sign out').click();
    await seen('Sign-in needed');
    expect(world.signedIn).toBe(false);
  });
});
