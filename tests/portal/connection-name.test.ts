import { describe, expect, it } from 'vitest';
import { proposeName } from '../../portal/src/text/connection-name.ts';
import { CONNECTION_NAME } from '../../src/contract/schemas.ts';

describe('the proposed name of a connection', () => {
  it.each([
    ['https://mcp.linear.app/sse', 'linear'],
    ['https://api.githubcopilot.com/mcp/', 'githubcopilot'],
    ['https://mcp.example.co.uk/mcp', 'example'],
    ['https://mcp.dev/mcp', 'mcp'],
    ['http://127.0.0.1:3001/mcp', 'local-3001'],
    ['http://[::1]:3001/mcp', 'local-3001'],
    ['http://localhost/mcp', 'local'],
    ['http://tools/mcp', 'tools'],
    ['  https://my_server.example/mcp ', 'my-server'],
  ])('of %s is %s', (endpoint, name) => {
    expect(proposeName(endpoint, [])).toBe(name);
    expect(name).toMatch(CONNECTION_NAME);
  });

  it('avoids the names that are taken', () => {
    expect(proposeName('https://mcp.linear.app', ['linear', 'linear-2'])).toBe('linear-3');
  });

  it('waits for a whole web address', () => {
    for (const text of ['', 'https://', 'mcp.linear.app', 'ftp://linear.app']) expect(proposeName(text, [])).toBe('');
  });

  it('is valid for the longest of hosts', () => {
    expect(proposeName(`https://${'a'.repeat(63)}.example`, [`${'a'.repeat(56)}`])).toMatch(CONNECTION_NAME);
  });
});
