// The APIs behind bench:api, in a process of their own, which answer every request with one small JSON document: `bare`
// does nothing else; `framework` is built as most are, with a router, a look at the bearer token, and a body that is
// parsed and checked.
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { z } from 'zod';

const document = { id: 1, name: 'hello', tags: ['a', 'b'], text: 'x'.repeat(200) };
const body = JSON.stringify(document);
const itemSchema = z.object({ name: z.string(), tags: z.array(z.string()), text: z.string() });

const app = new Hono();
app.use(async (c, next) => {
  if (/^Bearer ./.test(c.req.header('authorization') ?? '')) return next();
  return c.json({ error: 'invalid_token' }, 401);
});
app.get('/items/:id', (c) => c.json({ ...document, id: Number(c.req.param('id')) }));
app.post('/items/:id', async (c) => {
  const parsed = itemSchema.safeParse(await c.req.json());
  return parsed.success ? c.json({ id: Number(c.req.param('id')), ...parsed.data }) : c.json({ error: 'invalid' }, 400);
});

const servers = {
  bare: createServer((request, response) => {
    request.resume();
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      .end(body);
  }),
  framework: createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false })),
};

/** @param {import('node:http').Server} server @returns {Promise<string>} */
function served(server) {
  server.keepAliveTimeout = 75_000;
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      resolve(`http://127.0.0.1:${port}`);
    });
  });
}

const [bare, framework] = await Promise.all([served(servers.bare), served(servers.framework)]);
process.send?.({ bare, framework });
process.on('disconnect', () => process.exit(0));
