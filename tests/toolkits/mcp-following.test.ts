import { afterEach, describe, expect, it, type Mock, vi } from 'vitest';
import type { ToolkitClient, ToolkitConnection } from '../../src/core/ports.ts';
import { OwnSessions } from '../../src/toolkits/mcp/own-sessions.ts';
import type { Session } from '../../src/toolkits/mcp/session.ts';
import { type LegacyFake, type Received, startLegacyFake } from './legacy-fake.ts';
import { aCall, aClient, openUpstream, toolkitContext } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const NOTE = 'file:///note';
const PATIENCE = { timeout: 20_000 };

type Tied = {
  fake: LegacyFake;
  connection: ToolkitConnection;
  /** What each session follows, by its number. */
  followed: Map<string, Set<string>>;
  /** Sessions that it no longer knows. */
  forgotten: Set<string>;
  refuses: (request: Received) => boolean;
};

/** An upstream where `touch` changes what the session follows in which it is called, and tells that session alone. */
async function tied(): Promise<Tied> {
  const followed: Tied['followed'] = new Map();
  const forgotten = new Set<string>();
  const fake = await startLegacyFake(
    ({ id, method, session, params }, { send, end }) => {
      const mine = followed.get(session) ?? new Set<string>();
      followed.set(session, mine);
      const uri = String(params.uri);
      if (method === 'resources/subscribe') mine.add(uri);
      if (method === 'resources/unsubscribe') mine.delete(uri);
      const told = params.name === 'touch' ? [...mine] : [];
      for (const one of told) send({ method: 'notifications/resources/updated', params: { uri: one } });
      send({ id, result: method === 'tools/call' ? { content: [] } : {} });
      end();
    },
    { tools: {}, logging: {}, resources: { subscribe: true } },
    (request) => {
      if (forgotten.has(request.session)) return { id: null, error: { code: -32000, message: 'No such session' } };
      if (up.refuses(request)) return { error: { code: -32601, message: 'Method not found' } };
      return undefined;
    },
  );
  cleanup.push(fake.close);
  const connection = openUpstream({ endpoint: fake.url });
  cleanup.push(() => connection.close());
  const up: Tied = { fake, connection, followed, forgotten, refuses: () => false };
  return up;
}

const touch = ({ connection }: Tied, client: ToolkitClient) =>
  connection.request('tools/call', { name: 'touch' }, aCall({ client }));

type Follower = { client: ToolkitClient; heard: Mock<() => void>; leave(): void; end(): void };

let clients = 0;

/** A client with a session of its own, which follows the note. */
async function follower(
  { connection }: Tied,
  capabilities: Record<string, unknown> = { sampling: {} },
  more: Partial<ToolkitClient> = {},
): Promise<Follower> {
  clients += 1;
  const [ended, left] = [new AbortController(), new AbortController()];
  const session = { id: `client-${clients}`, ended: ended.signal };
  const client = Object.defineProperties(
    aClient(capabilities, {}, { session }),
    Object.getOwnPropertyDescriptors(more),
  ) as ToolkitClient;
  const heard = vi.fn<() => void>();
  await connection.subscribe?.(NOTE, heard, left.signal, client);
  return { client, heard, leave: () => left.abort(), end: () => ended.abort() };
}

const sessionsThatFollow = ({ followed, fake }: Tied) =>
  [...followed].filter(([id, uris]) => uris.size > 0 && !fake.ended.has(id)).map(([id]) => id);

describe('a session of one client', () => {
  it('that its upstream no longer knows is opened anew for the very call that finds out', async () => {
    const up = await tied();
    const client = aClient({ sampling: {} }, {}, { session: { id: 'one', ended: new AbortController().signal } });
    await touch(up, client);
    up.forgotten.add(String(up.fake.received.at(-1)?.session));
    await expect(touch(up, client)).resolves.toEqual({ content: [] });
  });
});

describe('a resource that a client follows', () => {
  it('is told of where the upstream changes it for that client alone, and to nobody else', async () => {
    const up = await tied();
    const [one, other] = [await follower(up), await follower(up)];
    const shared = vi.fn();
    await up.connection.subscribe?.(NOTE, shared, new AbortController().signal);
    await touch(up, one.client);
    expect(one.heard).toHaveBeenCalledWith({ uri: NOTE });
    await touch(up, other.client);
    expect(other.heard).toHaveBeenCalledOnce();
    expect(one.heard).toHaveBeenCalledOnce();
    expect(shared).not.toHaveBeenCalled();
  });

  it('goes over the shared session for a client whose calls do, too', async () => {
    const up = await tied();
    const [one, other] = [await follower(up, {}), await follower(up, {})];
    expect(sessionsThatFollow(up)).toHaveLength(1);
    await touch(up, one.client);
    expect(one.heard).toHaveBeenCalledWith({ uri: NOTE });
    expect(other.heard).toHaveBeenCalledWith({ uri: NOTE });
  });

  it('moves over with its client, which sets a log level later and so gets a session of its own', async () => {
    const up = await tied();
    let log_level: string | undefined;
    const { client, heard } = await follower(up, {}, {
      get log_level() {
        return log_level;
      },
    } as Partial<ToolkitClient>);
    log_level = 'debug';
    await vi.waitFor(async () => {
      await touch(up, client);
      const [request] = up.fake.received.filter(({ params }) => params.name === 'touch').slice(-1);
      expect(sessionsThatFollow(up)).toEqual([request?.session]);
    }, PATIENCE);
    heard.mockClear();
    await touch(up, client);
    expect(heard).toHaveBeenCalledExactlyOnceWith({ uri: NOTE });
  });

  it('is followed no longer once the client leaves, or its session ends', async () => {
    const up = await tied();
    const [one, other] = [await follower(up), await follower(up)];
    expect(sessionsThatFollow(up)).toHaveLength(2);
    one.leave();
    await vi.waitFor(() => expect(sessionsThatFollow(up)).toHaveLength(1), PATIENCE);
    const opened = up.fake.methods().filter((method) => method === 'initialize').length;
    await touch(up, one.client);
    expect(up.fake.methods().filter((method) => method === 'initialize')).toHaveLength(opened);
    expect(one.heard).not.toHaveBeenCalled();
    other.end();
    const ended = aCall({ client: other.client });
    await vi.waitFor(() => expect(sessionsThatFollow(up)).toHaveLength(0), PATIENCE);
    const late = up.connection.subscribe?.(NOTE, other.heard, ended.signal, other.client);
    await expect(late).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('is followed again once its own session was dropped and opened anew', async () => {
    const up = await tied();
    const { client, heard } = await follower(up);
    const [first] = sessionsThatFollow(up);
    up.forgotten.add(String(first));
    await touch(up, client);
    await vi.waitFor(() => expect(sessionsThatFollow(up)).toEqual([expect.not.stringMatching(`^${first}$`)]), PATIENCE);
    // What was missed meanwhile is not known.
    expect(heard).toHaveBeenCalledExactlyOnceWith({ uri: NOTE });
    heard.mockClear();
    await touch(up, client);
    expect(heard).toHaveBeenCalledExactlyOnceWith({ uri: NOTE });
  });

  it('goes over the shared session where the upstream refuses it in the own one', async () => {
    const up = await tied();
    let [asked, refused] = [0, 0];
    up.refuses = ({ method }) => {
      if (method !== 'resources/subscribe') return false;
      asked += 1;
      refused = asked === 1 ? 1 : refused;
      return asked === 1;
    };
    const { heard } = await follower(up);
    expect([asked, refused]).toEqual([2, 1]);
    const nobody = aClient({});
    await touch(up, nobody);
    expect(heard).toHaveBeenCalledWith({ uri: NOTE });
  });

  it('is refused to the client as the upstream refuses it', async () => {
    const up = await tied();
    up.refuses = ({ method }) => method === 'resources/subscribe';
    await expect(follower(up)).rejects.toMatchObject({ code: -32601 });
  });

  it('leaves the questions and log messages of a call under way with that call', async () => {
    const { signal } = new AbortController();
    const session = { id: 'one', ended: signal };
    const audiences: Array<{ client: ToolkitClient | undefined }> = [];
    const own = new OwnSessions({
      context: toolkitContext({ endpoint: 'http://127.0.0.1:1/mcp' }),
      dial: async ({ audience }) => {
        audiences.push(audience);
        return { ended: signal, close: async () => undefined } as Session;
      },
    });
    cleanup.push(() => own.close());
    const [calling, following] = [
      aClient({ sampling: {} }, {}, { session }),
      aClient({ sampling: {} }, {}, { session }),
    ];
    const call = await own.lease(calling, 'apikey:a', signal);
    const follow = await own.follow(following, 'apikey:a', signal);
    expect(follow.session).toBe(call.session);
    expect(audiences).toEqual([{ client: calling }]);
    call.release();
    follow.release();
  });

  it('costs nobody the session that a call needs, and goes on over the shared one', async () => {
    const up = await tied();
    const followers: Follower[] = [];
    while (followers.length < 65) followers.push(await follower(up));
    // 64 have one of their own, and the shared one does for the last.
    expect(sessionsThatFollow(up)).toHaveLength(65);
    await touch(up, aClient({}));
    expect(followers.filter(({ heard }) => heard.mock.calls.length > 0)).toHaveLength(1);
    const last = followers[64] as Follower;
    expect(last.heard).toHaveBeenCalledOnce();
    await touch(up, last.client);
    const [first] = followers as [Follower];
    await vi.waitFor(async () => {
      first.heard.mockClear();
      await touch(up, aClient({}));
      expect(first.heard).toHaveBeenCalled();
    }, PATIENCE);
    await vi.waitFor(async () => {
      last.heard.mockClear();
      await touch(up, last.client);
      expect(last.heard).toHaveBeenCalled();
    }, PATIENCE);
  }, 60_000);
});
