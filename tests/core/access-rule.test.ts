import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accessPatternSchema,
  accessRules,
  EVERYTHING,
  permits,
  permitsAll,
  reaches,
} from '../../src/core/access-rule.ts';

type Patterns = { allow?: string[]; deny?: string[] };
const holder = (patterns: Patterns) => ({ access: accessRules(patterns) });
const GITHUB = { kind: 'mcp', name: 'github' };

describe('who has no rules', () => {
  it('may use everything, and with an empty list of what is allowed nothing', () => {
    expect(permits({ access: EVERYTHING }, GITHUB, 'create_issue')).toBe(true);
    expect(permitsAll({ access: EVERYTHING }, GITHUB)).toBe(true);
    const nobody = holder({ allow: [] });
    expect([permits(nobody, GITHUB, 'create_issue'), permits(nobody, GITHUB), reaches(nobody, GITHUB)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe('a pattern', () => {
  it.each<[string, Patterns, string, string | undefined, boolean]>([
    ['of a connection covers its tools', { allow: ['mcp/github'] }, 'mcp/github', 'create_issue', true],
    ['of a connection covers what is no tool', { allow: ['mcp/github'] }, 'mcp/github', undefined, true],
    ['of a connection covers no other', { allow: ['mcp/github'] }, 'mcp/github-2', 'create_issue', false],
    ['of a connection covers no other kind', { allow: ['mcp/github'] }, 'api/github', 'create_issue', false],
    ['of a kind covers its connections', { allow: ['api/*'] }, 'api/github', 'any', true],
    ['of a name covers every kind', { allow: ['*/github'] }, 'api/github', 'any', true],
    ['of tools covers them', { allow: ['mcp/github:create_*'] }, 'mcp/github', 'create_issue', true],
    ['of tools covers no others', { allow: ['mcp/github:create_*'] }, 'mcp/github', 'delete_issue', false],
    ['of tools covers nothing else', { allow: ['mcp/github:*'] }, 'mcp/github', undefined, false],
    ['that denies wins', { allow: ['mcp/github:create_issue'], deny: ['mcp/*'] }, 'mcp/github', 'create_issue', false],
    ['that denies tools leaves others', { deny: ['mcp/github:create_*'] }, 'mcp/github', 'list_issues', true],
    ['that denies tools leaves what is no tool', { deny: ['mcp/github:create_*'] }, 'mcp/github', undefined, true],
    ['needs both ends, apart from each other', { allow: ['mcp/github:ab*ba'] }, 'mcp/github', 'aba', false],
    ['holds its parts in their order', { allow: ['mcp/github:*b*a*'] }, 'mcp/github', 'ab', false],
    ['takes a tool name with colons whole', { allow: ['mcp/github:a:b*'] }, 'mcp/github', 'a:bc', true],
    ['is no regular expression', { allow: ['mcp/github:a.c'] }, 'mcp/github', 'abc', false],
  ])('%s', (_title, patterns, label, tool, expected) => {
    const [kind = '', name = ''] = label.split('/');
    expect(permits(holder(patterns), { kind, name }, tool)).toBe(expected);
  });

  it.each(['*', 'mcp/github', 'mcp/*', '*/*', 'mcp/git*:create_*', '*:read_*', 'api/x:GET /a b'])(
    'may read %s',
    (text) => {
      expect(accessPatternSchema.safeParse(text).success).toBe(true);
    },
  );

  it.each([
    '',
    'github',
    'mcp/',
    '/github',
    'mcp/github:',
    'mcp/github/x',
    'MCP/github',
    'm*',
    `mcp/${'x'.repeat(600)}`,
  ])('may not read "%s"', (text) => {
    expect(accessPatternSchema.safeParse(text).success).toBe(false);
  });
});

describe('what goes around the tools', () => {
  it('is permitted only where nothing of the connection is taken away', () => {
    expect(permitsAll(holder({ allow: ['api/*'] }), { kind: 'api', name: 'x' })).toBe(true);
    expect(permitsAll(holder({ allow: ['api/x:invoke'] }), { kind: 'api', name: 'x' })).toBe(false);
    expect(permitsAll(holder({ deny: ['api/x:invoke'] }), { kind: 'api', name: 'x' })).toBe(false);
    expect(permitsAll(holder({ deny: ['api/y'] }), { kind: 'api', name: 'x' })).toBe(true);
  });
});

describe('any rules', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ':', '.', '\n'), minLength: 1, maxLength: 6 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 4 });
  const starred = (of: fc.Arbitrary<string>) =>
    fc.array(fc.oneof(of, fc.constant('*')), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  const pattern = fc.oneof(
    fc.constant('*'),
    fc.tuple(starred(name), starred(name)).map((parts) => parts.join('/')),
    fc.tuple(starred(name), starred(name), starred(text)).map(([kind, of, tool]) => `${kind}/${of}:${tool}`),
  );
  const patterns = fc.record({ allow: fc.array(pattern, { maxLength: 4 }), deny: fc.array(pattern, { maxLength: 3 }) });
  const key = fc.record({ kind: name, name });

  /** The same by regular expressions: another way to say what `*` is. */
  const expression = (glob: string) =>
    new RegExp(`^${glob.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^]*')}$`);
  const matches = (each: string, label: string, tool: string) => {
    const [connection = '', ...rest] = each.split(':');
    if (!expression(connection).test(label)) return false;
    return rest.length === 0 || expression(rest.join(':')).test(tool);
  };

  it('permit a tool when an allowing pattern covers it and no denying one does', () => {
    fc.assert(
      fc.property(patterns, key, text, ({ allow, deny }, of, tool) => {
        const label = `${of.kind}/${of.name}`;
        const expected =
          allow.some((each) => matches(each, label, tool)) && !deny.some((each) => matches(each, label, tool));
        expect(permits(holder({ allow, deny }), of, tool)).toBe(expected);
        for (const each of [...allow, ...deny]) expect(accessPatternSchema.safeParse(each).success).toBe(true);
      }),
    );
  });

  it('show a connection of which they permit anything, and permit all of one of which they take nothing', () => {
    fc.assert(
      fc.property(patterns, key, text, (rules, of, tool) => {
        const who = holder(rules);
        const something = permits(who, of, tool) || permits(who, of);
        if (something) expect(reaches(who, of)).toBe(true);
        if (permitsAll(who, of)) expect([permits(who, of, tool), permits(who, of)]).toEqual([true, true]);
      }),
    );
  });

  it('never permit more when a pattern is denied, nor less when one is allowed', () => {
    fc.assert(
      fc.property(patterns, pattern, key, text, ({ allow, deny }, more, of, tool) => {
        const before = permits(holder({ allow, deny }), of, tool);
        if (!before) expect(permits(holder({ allow, deny: [...deny, more] }), of, tool)).toBe(false);
        if (before) expect(permits(holder({ allow: [...allow, more], deny }), of, tool)).toBe(true);
      }),
    );
  });
});
