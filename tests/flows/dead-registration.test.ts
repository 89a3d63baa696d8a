import { expect, it } from 'vitest';
import * as fixture from '../suites/store-fixture.ts';
import { answer } from '../support/ports.ts';
import { describeFlow, KEY, type Process, REDIRECT_URI } from './world.ts';

const ADA = 'ada@example.com';
const ISSUER = 'https://idp.example';

/** Lesson 16: clients that we register ourselves expire, and servers forget them. */
describeFlow('a client that we registered and the server no longer knows', (world) => {
  async function connected(): Promise<Process> {
    world().server.metadata.registration_endpoint = `${ISSUER}/reg`;
    await fixture.create(world().stores, KEY);
    const process = await world().boot();
    const { state } = await begun(process);
    expect(await back(process, { state, code: 'one' })).toMatchObject({ ok: true });
    return process;
  }
  async function begun(process: Process): Promise<{ state: string }> {
    const { state } = await process.authorize.start(KEY, { actor: ADA });
    await process.authorize.bind(state, 'browser');
    return { state };
  }
  const back = (process: Process, params: Record<string, string>) =>
    process.authorize.callback(new URLSearchParams(params), 'browser');
  const remembered = () => world().stores.registrations.read(KEY, ISSUER, REDIRECT_URI);
  const refusing = (error: string) => async () => answer({ error }, { status: 401 });
  const clientOf = async (process: Process, state: string, code: string) => {
    await back(process, { state, code });
    return world().server.exchanged.at(-1)?.client.binding.client_id;
  };

  it.each(['invalid_client', 'unauthorized_client'])(
    'is forgotten when a refresh is refused with %s; the token stays, and the status says what to do',
    async (error) => {
      const process = await connected();
      world().server.onRefresh(refusing(error));
      expect(await process.refresh()).toMatchObject({ type: 'failed', failure: { idp_error_code: error } });
      expect(await remembered()).toBeUndefined();
      expect(await world().accessToken()).toBe('access-c1t0');
      const { oauth } = await process.connections.get(KEY);
      expect(oauth).toMatchObject({ state: 'connected', health: 'client_misconfigured', needs_person: true });
      expect(oauth?.summary).toContain(`refuses the client that this server registered there (${error})`);
      expect(oauth?.summary).toContain('reconnect it in a browser');
      const { state } = await begun(process);
      expect(await clientOf(process, state, 'two')).toBe('registered-2');
      expect(await world().credential()).toMatchObject({ state: 'connected', failure: null });
    },
  );

  it('is not told to another server that takes over the token endpoint: there another client is registered', async () => {
    const process = await connected();
    world().server.metadata.token_endpoint = 'https://elsewhere.example/token';
    const { state } = await begun(process);
    expect(await clientOf(process, state, 'two')).toBe('registered-2');
    expect(world().server.presented).toEqual([]);
    expect((await remembered())?.client_id).toBe('registered-1');
  });

  it('goes on being presented by the token that it was given for, in case the server remembers', async () => {
    const process = await connected();
    world().server.onRefresh(refusing('invalid_client'));
    await process.refresh();
    expect(await process.refresh()).toEqual({ type: 'refreshed' });
    expect(world().server.presented.map(({ client }) => client.binding.client_id)).toEqual([
      'registered-1',
      'registered-1',
    ]);
  });

  it('is noticed before a person is sent to a page that only says so, by a token that never was one', async () => {
    const process = await connected();
    const { server } = world();
    server.onRefresh(refusing('invalid_client'));
    const { state } = await begun(process);
    expect(server.registered).toHaveLength(2);
    expect(server.presented).toHaveLength(1);
    expect(server.presented[0]?.token).not.toMatch(/^(refresh|access)-/);
    expect(await clientOf(process, state, 'two')).toBe('registered-2');
    expect(await world().eventTypes()).toEqual([
      'connect_started',
      'connect_completed',
      'connect_started',
      'connect_completed',
    ]);
  });

  it.each([
    ['refuses the token alone', async () => answer({ error: 'invalid_grant' }, { status: 400 })],
    ['answers nonsense', async () => answer('<html>', { status: 500 })],
    ['does not answer', async () => ({ type: 'unknown', error_class: 'timeout' }) as const],
  ])('is not given up where the server %s', async (_name, reply) => {
    const process = await connected();
    world().server.onRefresh(reply);
    await begun(process);
    expect(world().server.registered).toHaveLength(1);
    expect(await remembered()).toMatchObject({ client_id: 'registered-1' });
  });

  it('is kept where the server registers no clients any more: there is no other', async () => {
    const process = await connected();
    world().server.metadata.registration_endpoint = null;
    await begun(process);
    expect(world().server.presented).toEqual([]);
    expect(await remembered()).toMatchObject({ client_id: 'registered-1' });
  });

  it('is forgotten when the provider sends the browser back with unauthorized_client', async () => {
    const process = await connected();
    const { state } = await begun(process);
    const result = await back(process, { state, error: 'unauthorized_client' });
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining('registers another client') });
    expect(await remembered()).toBeUndefined();
  });

  it('is forgotten when the exchange of the code is refused, and the page says what to do', async () => {
    const process = await connected();
    const { state } = await begun(process);
    world().server.onExchange(refusing('invalid_client'));
    const result = await back(process, { state, code: 'two' });
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining('registers another client') });
    expect(await remembered()).toBeUndefined();
  });

  it('is left alone where an operator configured it', async () => {
    const { stores, server } = world();
    await fixture.create(stores, KEY, { oauth2_client_id: 'client', oauth2_client_secret: 'secret' });
    const process = await world().boot();
    const { state } = await begun(process);
    server.onExchange(refusing('invalid_client'));
    const result = await back(process, { state, code: 'one' });
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining('oauth2_client_secret') });
    expect(server.presented).toEqual([]);
  });
});
