import { expect, it } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import { answer } from '../support/ports.ts';
import { binding, describeFlow, KEY } from './world.ts';

const CLIENT = { oauth2_client_id: 'client', oauth2_client_secret: 'client-secret' };
const says = (error: string) => () => answer({ error }, { status: 400 });

/** Which way of sending a secret a server wants is often found out by trial only: so it is tried here, and told. */
describeFlow('the Test of a connection tells how its client proves itself', (world) => {
  async function test(more: Record<string, unknown> = {}, bound: object = {}) {
    const process = await world().boot();
    if (!(await world().stores.connections.read(KEY))) {
      await world().connected('f0', KEY, { binding: { ...binding, ...bound } }, { ...CLIENT, ...more });
    }
    return process.connections.test(KEY, new AbortController().signal);
  }
  const tried = () => world().server.presented.map(({ client }) => client.binding.token_endpoint_auth_method);

  it('says that the configured way works, by a refresh token that never was one', async () => {
    const result = await test();
    expect(result).toMatchObject({
      ok: true,
      message: 'fine idp.example accepts this client (client_secret_basic).',
      details: {
        client_authentication: {
          configured: 'client_secret_basic',
          trials: [{ method: 'client_secret_basic', verdict: 'accepted', idp_error_code: 'invalid_grant' }],
        },
      },
    });
    const [presented] = world().server.presented;
    expect(presented?.token).toMatch(/^[\w-]{43}$/);
    expect(presented?.token).not.toContain('f0t0');
    expect(await world().eventTypes()).toEqual([]);
    expect(await world().accessToken()).toBe('access-f0t0');
    expect(await (await world().boot()).refresh()).toEqual({ type: 'refreshed' });
  });

  it('names the way that works where the configured one is refused, and what to set', async () => {
    world().server.onRefresh(says('invalid_client'), says('invalid_client'), says('invalid_grant'));
    const result = await test();
    expect(result.ok).toBe(false);
    expect(result.message).toContain(
      'But its token cannot be renewed: idp.example accepts this client by client_secret_post, but not by client_secret_basic, which the connection uses: set oauth2_token_endpoint_auth_method to client_secret_post.',
    );
    expect(tried()).toEqual(['client_secret_basic', 'client_secret_basic_raw', 'client_secret_post']);
  });

  it('tries what is configured first', async () => {
    await test({ oauth2_token_endpoint_auth_method: 'client_secret_post' });
    expect(tried()).toEqual(['client_secret_post']);
  });

  it.each(['invalid_client', 'incorrect_client_credentials', 'bad_client_secret'])(
    'says that the client is refused in every way (%s), after one request for each',
    async (error) => {
      world().server.onRefresh(...Array.from({ length: 9 }, () => says(error)));
      const result = await test();
      expect(result.ok).toBe(false);
      expect(result.message).toContain(
        'Check oauth2_client_id, oauth2_client_secret (or oauth2_client_private_key_pem) and',
      );
      expect(tried()).toEqual(['client_secret_basic', 'client_secret_basic_raw', 'client_secret_post', 'none']);
    },
  );

  it('never says that nothing is known where the configured way is refused, and another gave no clear answer', async () => {
    world().server.onRefresh(says('invalid_client'), says('invalid_request'));
    const result = await test();
    expect(result.ok).toBe(false);
    expect(result.message).toContain(
      'But its token cannot be renewed: idp.example refuses this client (tried: client_secret_basic; by client_secret_basic_raw it did not tell: invalid_request). Check oauth2_client_id',
    );
  });

  it('advises to reconnect where we registered the client ourselves', async () => {
    world().server.onRefresh(...Array.from({ length: 9 }, () => says('invalid_client')));
    const bound = { client_source: 'dynamic_registration', client_id: 'registered' };
    expect((await test({}, bound)).message).toContain(
      'Connect it in a browser again: this server then registers another client there.',
    );
  });

  it.each([
    ['unauthorized_client', 'accepted'],
    ['invalid_request', 'unclear'],
    ['unsupported_grant_type', 'unclear'],
    ['temporarily_unavailable', 'unclear'],
  ])('takes %s for %s', async (error, verdict) => {
    world().server.onRefresh(says(error));
    const result = await test();
    expect(result.ok).toBe(true);
    expect(result.details.client_authentication).toMatchObject({ trials: [{ verdict, idp_error_code: error }] });
  });

  it.each([
    ['a page', () => answer('<html>', { status: 200, media_type: 'text/html' })],
    ['no answer', () => ({ type: 'unknown', error_class: 'timeout' }) as const],
    ['tokens for a made-up token', () => answer({ access_token: 'x', token_type: 'Bearer' })],
  ])('asks no further after %s, and says that it is not known', async (_name, reply) => {
    world().server.onRefresh(reply);
    const result = await test();
    expect(result.ok).toBe(true);
    expect(result.message).toContain('did not tell whether it accepts this client (no readable answer).');
    expect(tried()).toHaveLength(1);
    expect(await world().accessToken()).toBe('access-f0t0');
  });

  it('never sends a private key for a secret, whichever client is configured by now', async () => {
    world().server.onRefresh(...Array.from({ length: 9 }, () => says('invalid_client')));
    const bound = { ...binding, client_id: 'former', token_endpoint_auth_method: 'private_key_jwt' };
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----';
    const process = await world().boot();
    await world().connected('f0', KEY, { binding: bound, client_secret: new Secret(key) }, CLIENT);
    await process.connections.test(KEY, new AbortController().signal);
    expect(tried()).toEqual(['private_key_jwt', 'none']);
  });

  it('tries the stored secret of the consent where the configuration names none any more', async () => {
    const process = await world().boot();
    await world().connected(
      'f0',
      KEY,
      { binding: { ...binding, client_id: 'client' } },
      { oauth2_client_id: 'client' },
    );
    const result = await process.connections.test(KEY, new AbortController().signal);
    expect(result).toMatchObject({ ok: true, message: 'fine idp.example accepts this client (client_secret_basic).' });
    expect(world().server.presented[0]?.client.client_secret?.reveal()).toBe('client-secret');
  });

  it('asks nobody where there is no client yet, or no OAuth', async () => {
    const process = await world().boot();
    const endpoint = 'https://mcp.example/mcp';
    const signal = new AbortController().signal;
    for (const config of [{ endpoint, auth_mode: 'oauth' }, { endpoint }]) {
      await process.connections.put(KEY, { config }, 'ada@example.com');
      expect(await process.connections.test(KEY, signal)).toEqual({ ok: true, message: 'fine', details: {} });
    }
    expect(world().server.presented).toEqual([]);
  });
});
