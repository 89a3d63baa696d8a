import { describe, expect, it } from 'vitest';
import { createMounted } from '../../src/http/mounted.ts';

const handle = async () => new Response();
const mounted = createMounted([
  { path: '/mcp', handle },
  { path: '/api/v1/gateway', deep: true, handle },
]);
const found = (path: string) => {
  const one = mounted(`http://localhost:8080${path}`);
  return one && [one.mount.path, one.part];
};

describe('the address of a mount', () => {
  it.each([
    ['/mcp', '/mcp', undefined],
    ['/mcp?x=/y', '/mcp', undefined],
    ['/mcp/shop', '/mcp', 'shop'],
    ['/mcp/a%20b?c', '/mcp', 'a b'],
    ['/mcp/%zz', '/mcp', '%zz'],
    ['/api/v1/gateway/shop/a/b?c', '/api/v1/gateway', undefined],
    ['/api/v1/gateway', '/api/v1/gateway', undefined],
  ])('%s is found', (path, mount, part) => {
    expect(found(path)).toEqual([mount, part]);
  });

  it.each(['/', '/mcpx', '/mcp/', '/mcp/a/b', '/x/mcp', '/api/v1/gatewayx/shop', '/api/v1', '/?/mcp', '/MCP'])(
    '%s is another',
    (path) => {
      expect(found(path)).toBeUndefined();
    },
  );
});
