import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { belowBase, pathFault, requestTarget } from '../../src/toolkits/api/target.ts';

const BASES = ['https://api.example.com', 'https://api.example.com/v1', 'http://127.0.0.1:8080/a/b%20c'];

/** What hostile callers compose paths of. */
const PIECES = [
  '/',
  '//',
  '\\',
  '.',
  '..',
  '%2e',
  '%2E%2e',
  '%252e%252e',
  '%25252e',
  '%2f',
  '%2F',
  '%5c',
  '%255c',
  '@',
  '%40',
  ':',
  '?',
  '#',
  '%23',
  '%00',
  '%0d%0a',
  '\r\n',
  '\t',
  '\u0000',
  ';',
  '..;',
  'evil.example',
  'user:pass@',
  'http:',
  'https://evil.example/',
  '[::1]',
  '%',
  '%25',
  '%25zz',
  '%2525',
  '%zz',
  '%c0%ae',
  '%ff',
  '．．',
  '\u2024',
  '\ud800',
  ' ',
  'a',
  'items',
  '42',
  'é',
  '&x=1',
];

const hostilePath = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 4 })), { maxLength: 12 })
  .map((pieces) => pieces.join(''));

/** As careless a server as there is: decodes until nothing is left to decode, takes `\` for `/`, drops `;…`. */
function carelessly(path: string): string[] {
  let text = path;
  for (let round = 0; round < 20; round += 1) {
    const decoded = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    if (decoded === text) break;
    text = decoded;
  }
  return text.split(/[/\\]/).map((segment) => segment.split(';')[0] ?? '');
}

describe('where a request of a caller goes', () => {
  it('is below the base URL, whatever the caller writes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...BASES), hostilePath, hostilePath, (base, path, query) => {
        for (const written of [path, `/${path}`]) {
          const target = requestTarget(base, written, query);
          if (!target.ok) continue;
          const { url } = target;
          const wanted = new URL(base);
          expect(url.origin).toBe(wanted.origin);
          expect(url.username + url.password + url.hash).toBe('');
          expect(url.pathname.startsWith(`${wanted.pathname.replace(/\/$/, '')}/`)).toBe(true);
          // Read again, as a client and a proxy will, it is the same.
          expect(new URL(url.href).href).toBe(url.href);
          expect(carelessly(url.pathname)).not.toContain('..');
          expect(carelessly(url.pathname)).not.toContain('.');
          expect(url.href).not.toMatch(/[\r\n\0]/);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('is what an honest caller wrote, to the letter', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_~-]([A-Za-z0-9._~-]*[A-Za-z0-9_~-])?$/);
    const encodedSegment = fc
      .string({ minLength: 1, maxLength: 8, unit: 'grapheme' })
      .map((text) => `x${encodeURIComponent(text.toWellFormed())}`)
      .filter((text) => !/%(?:[01]|7f)/i.test(text) && pathFault(`/${text}`) === undefined);
    fc.assert(
      fc.property(
        fc.constantFrom(...BASES),
        fc.array(fc.oneof(segment, encodedSegment), { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (base, segments, slash) => {
          const path = `/${segments.join('/')}${slash ? '/' : ''}`;
          const target = requestTarget(base, path, 'a=%20b&c=d+e');
          expect(target).toMatchObject({ ok: true });
          if (!target.ok) return;
          const below = new URL(base).pathname.replace(/\/$/, '');
          expect(target.url.pathname).toBe(new URL(`http://h${below}${path}`).pathname);
          expect(target.url.search).toBe('?a=%20b&c=d+e');
          expect(belowBase(base, target.url)).toBe(target.url.pathname.slice(below.length) + target.url.search);
        },
      ),
    );
  });

  it.each([
    ['items', 'begin with "/"'],
    ['/../admin', '".."'],
    ['/a/./b', '"."'],
    ['/a/..', '".."'],
    ['/%2e%2e/admin', 'encoded "." or ".."'],
    ['/%2E./admin', 'encoded'],
    ['/a%2F..%2Fadmin', 'encoded'],
    ['/a%252F%252e%252e%252Fadmin', 'encoded'],
    ['/a%5c..%5cadmin', 'encoded'],
    ['/..;/admin', '".."'],
    ['/%2e%2e;x=1/admin', 'encoded'],
    ['//evil.example/x', '"//"'],
    ['/a//b', '"//"'],
    ['/@evil.example', '%40'],
    ['/a\\..\\b', 'backslash'],
    ['/a\r\nHost: evil', 'control characters'],
    ['/a%0d%0aHost:%20evil', 'control characters'],
    ['/a%00', 'control characters'],
    ['/a%2500', 'control characters'],
    ['/a%', '%25'],
    ['/a%zz', '%25'],
    ['/%25zz/%252e%252e/x', 'encoded'],
    ['/%c0%ae%c0%ae/x', 'UTF-8'],
    ['/a#b', '%23'],
    [`/${'%25'.repeat(1)}${'25'.repeat(5)}2e`, 'too many times'],
    [`/${'a'.repeat(20_000)}`, 'longer'],
  ])('refuses %j and says why', (path, why) => {
    expect(requestTarget('https://api.example.com/v1', path)).toMatchObject({
      ok: false,
      at: 'path',
      message: expect.stringContaining(why),
    });
  });

  it.each([
    ['/repos/group%2Fproject/raw', '/v1/repos/group%2Fproject/raw'],
    ['/rate/100%25', '/v1/rate/100%25'],
    ['/users/%40me', '/v1/users/%40me'],
    ['/a b/ü', '/v1/a%20b/%C3%BC'],
    ['/ends ', '/v1/ends%20'],
    ['/.well-known/x', '/v1/.well-known/x'],
    ['/v1..v2', '/v1/v1..v2'],
    ['/items/', '/v1/items/'],
    ['/', '/v1/'],
  ])('takes %j', (path, pathname) => {
    const target = requestTarget('https://api.example.com/v1', path);
    expect(target.ok && target.url.pathname).toBe(pathname);
  });

  it('may carry its query in the path, before the other parameters', () => {
    const target = requestTarget('https://api.example.com', '/items?page=2', 'sort=up');
    expect(target.ok && target.url.href).toBe('https://api.example.com/items?page=2&sort=up');
    expect(requestTarget('https://api.example.com', '/items', 'a=b#c')).toMatchObject({
      ok: false,
      at: 'query_params',
    });
  });
});
