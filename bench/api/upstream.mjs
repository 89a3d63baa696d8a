// The API behind bench:api, in a process of its own: answers every request with one small JSON document.
import { createServer } from 'node:http';

const body = JSON.stringify({ id: 1, name: 'hello', tags: ['a', 'b'], text: 'x'.repeat(200) });
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '');
});
process.on('disconnect', () => process.exit(0));
