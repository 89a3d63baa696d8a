import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { publishedUri, sourceUri, withMappedResult } from '../../src/core/resource-uri.ts';

const prefix = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,40}$/);
const uri = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.webUrl(),
  fc.string({ maxLength: 30 }).map((rest) => `ui://${rest}`),
  fc.string({ maxLength: 30 }).map((rest) => `mcp+x+${rest}`),
);

describe('the published URI of a resource', () => {
  it('leads back to the connection and the URI that it was made of, whatever they are', () => {
    fc.assert(
      fc.property(prefix, uri, (given, source) => {
        expect(sourceUri(publishedUri(given, source))).toEqual({ prefix: given, uri: source });
      }),
    );
  });

  it('is another one for another connection or another resource', () => {
    fc.assert(
      fc.property(prefix, uri, prefix, uri, (a, first, b, second) => {
        if (a === b && first === second) return;
        expect(publishedUri(a, first)).not.toBe(publishedUri(b, second));
      }),
    );
  });

  it('of a template expands to the published URI of what the template expands to', () => {
    fc.assert(
      fc.property(
        prefix,
        fc.stringMatching(/^[a-z]{2,8}:\/\/[a-z]{0,8}\/$/),
        fc.stringMatching(/^\w+$/),
        (p, head, id) => {
          const template = publishedUri(p, `${head}{id}/data`);
          expect(template.replace('{id}', id)).toBe(publishedUri(p, `${head}${id}/data`));
        },
      ),
    );
  });

  it('keeps the scheme that clients of MCP Apps look at', () => {
    expect(publishedUri('crm', 'ui://app/page.html')).toBe('ui://crm/app/page.html');
    expect(publishedUri('crm', 'https://x.example/?a=1#b')).toBe('mcp+crm+https://x.example/?a=1#b');
  });

  it('is none where nobody published it', () => {
    for (const text of ['', 'file:///a', 'mcp+', 'mcp+UPPER+a', 'mcp:crm+a', 'ui://crm', 'ui:///x']) {
      expect(sourceUri(text)).toBeUndefined();
    }
  });
});

describe('a result with mapped URIs', () => {
  const map = (source: string) => publishedUri('crm', source);

  it('is the very same object where there is nothing to map', () => {
    const result = {
      content: [
        { type: 'text', text: 'file:///a' },
        { type: 'image', data: '', mimeType: 'image/png' },
      ],
    };
    expect(withMappedResult('tools/call', result, map)).toBe(result);
  });

  it('names links, embedded resources and the page of an MCP App as they are published, and leaves the rest', () => {
    const result = {
      content: [
        { type: 'resource_link', uri: 'file:///a', name: 'a', own: 1 },
        { type: 'resource', resource: { uri: 'file:///b', text: 'file:///b' }, annotations: { priority: 1 } },
        null,
      ],
      structuredContent: { uri: 'file:///c' },
      _meta: { ui: { resourceUri: 'ui://app/x', other: 2 }, 'ui/resourceUri': 'ui://app/x', mine: true },
    };
    const before = structuredClone(result);
    expect(withMappedResult('tools/call', result, map)).toEqual({
      content: [
        { type: 'resource_link', uri: 'mcp+crm+file:///a', name: 'a', own: 1 },
        { type: 'resource', resource: { uri: 'mcp+crm+file:///b', text: 'file:///b' }, annotations: { priority: 1 } },
        null,
      ],
      structuredContent: { uri: 'file:///c' },
      _meta: { ui: { resourceUri: 'ui://crm/app/x', other: 2 }, 'ui/resourceUri': 'ui://crm/app/x', mine: true },
    });
    expect(result).toEqual(before);
  });
});
