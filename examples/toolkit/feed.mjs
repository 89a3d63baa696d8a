// A toolkit: connections of kind `feed`, each a JSON Feed (https://www.jsonfeed.org/version/1.1/) behind any of the auth
// modes. `toolkits: [./feed.mjs]` in the configuration file loads it; docs/toolkits.md explains each part.

const MOST_BYTES = 5_000_000;

/**
 * @typedef {{ id: string, title?: string, content_text?: string, date_published?: string }} Entry
 * @typedef {{ title: string, items: Entry[] }} Feed
 */

/** Not larger than allowed, whatever its headers say; undefined: larger. @param {Response} response */
async function textOf(response) {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of /** @type {ReadableStream<Uint8Array>} */ (response.body ?? new ReadableStream())) {
    bytes += chunk.byteLength;
    if (bytes > MOST_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** @param {string | undefined} text */
function parsed(text) {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

/** @type {import('mcp-data-platform').ToolkitModule} */
export default ({ z, sharedConfigShape, checkSharedConfig, createAuthorizedFetch, AppError, RpcError }) => {
  const feedSchema = z.looseObject({
    title: z.string(),
    items: z.array(z.looseObject({ id: z.coerce.string() })),
  });
  const listArguments = z.strictObject({
    search: z.string().default('').describe('Only entries whose title or text holds this.'),
    limit: z.int().min(1).max(100).default(20),
  });
  const readArguments = z.strictObject({ id: z.string().describe('As list_entries gives it.') });

  const tool = (/** @type {string} */ name, /** @type {string} */ description, /** @type {any} */ schema) => ({
    name,
    description,
    inputSchema: z.toJSONSchema(schema, { io: 'input' }),
    annotations: { readOnlyHint: true },
  });
  const tools = [
    tool('list_entries', "Id, title and date of the feed's entries, in its order.", listArguments),
    tool('read_entry', 'One entry of the feed, whole.', readArguments),
  ];
  /** @param {string} text */
  const failed = (text) => ({ content: [{ type: 'text', text }], isError: true });
  /** @param {Record<string, unknown>} value */
  const answer = (value) => ({ content: [{ type: 'text', text: JSON.stringify(value) }], structuredContent: value });

  /** @param {{ search: string, limit: number }} args @param {Feed} feed */
  function list({ search, limit }, { items }) {
    const wanted = search.toLowerCase();
    const found = items.filter(({ title = '', content_text = '' }) =>
      `${title}\n${content_text}`.toLowerCase().includes(wanted),
    );
    const entries = found.slice(0, limit).map(({ id, title, date_published }) => ({ id, title, date_published }));
    return answer({ entries, more: found.length > entries.length });
  }

  /** @param {any} params @param {() => Promise<Feed>} read @returns {Promise<Record<string, unknown>>} */
  async function call({ name, arguments: given = {} }, read) {
    const schema = name === 'list_entries' ? listArguments : readArguments;
    const { data, error } = schema.safeParse(given);
    if (!data) return failed(`The arguments are not right: ${z.prettifyError(error)}`);
    if ('limit' in data) return list(data, await read());
    const entry = (await read()).items.find(({ id }) => id === data.id);
    return entry ? answer(entry) : failed(`There is no entry ${data.id} in this feed: see list_entries.`);
  }

  return {
    kind: 'feed',
    // The connection's secrets are bound to the origin of `endpoint`.
    configSchema: z
      .strictObject({ endpoint: z.url({ protocol: /^https?$/ }), ...sharedConfigShape })
      .superRefine(checkSharedConfig),

    connect(context) {
      const label = `feed/${context.key.name}`;
      const endpoint = new URL(context.config.endpoint ?? '');
      // Adds whatever auth_mode says, and renews an access token that the feed refuses, once.
      const fetch = createAuthorizedFetch(context, endpoint.origin);

      /** @param {AbortSignal} signal @returns {Promise<Feed>} */
      async function read(signal) {
        const response = await fetch(endpoint, { signal, headers: { accept: 'application/feed+json' } });
        if (response.status !== 200) {
          await response.body?.cancel();
          throw new AppError('upstream_failed', `${label} answered HTTP ${response.status}. Check its endpoint.`);
        }
        const text = await textOf(response);
        const feed = feedSchema.safeParse(parsed(text));
        if (feed.success) return feed.data;
        const what = text === undefined ? `more than ${MOST_BYTES} bytes` : 'something that is no JSON Feed';
        throw new AppError('upstream_failed', `${label} answered ${what}. Check its endpoint.`);
      }

      return {
        async request(method, params, { signal }) {
          if (method === 'server/discover') return { capabilities: { tools: {} } };
          if (method === 'tools/list') return { tools };
          if (method === 'tools/call') return call(params, () => read(signal));
          throw new RpcError(-32601, 'Method not found');
        },
        async test(signal) {
          const { title, items } = await read(signal);
          return { ok: true, message: `${title}: ${items.length} entries.`, details: { entries: items.length } };
        },
        // What it offers never changes, and it holds nothing open.
        onChange() {},
        async close() {},
      };
    },
  };
};
