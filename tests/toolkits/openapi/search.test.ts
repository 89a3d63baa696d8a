import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { described } from './descriptions.ts';

const operation = (operationId: string, summary: string, tags: string[] = []) => ({ operationId, summary, tags });
const description = described({
  openapi: '3.0.3',
  paths: {
    '/repos/{owner}/{repo}/issues': {
      get: operation('issues/list-for-repo', 'List repository issues', ['issues']),
      post: operation('issues/create', 'Create an issue', ['issues']),
    },
    '/repos/{owner}/{repo}/issues/{n}/comments': {
      post: operation('issues/create-comment', 'Create an issue comment', ['issues']),
    },
    '/repos/{owner}/{repo}': { get: operation('repos/get', 'Get a repository', ['repos']) },
    '/user/repos': { get: operation('listReposForUser', 'List repositories for the authenticated user', ['repos']) },
    '/gists': { get: operation('gists/list', 'List gists for the authenticated user', ['gists']) },
  },
});
const found = (query: string, limit = 50) => {
  const page = description.search(query, { limit });
  return page.ok ? page.operations.map(({ id }) => id) : [];
};

describe('a search', () => {
  it.each([
    ['issues/create', 'issues/create'],
    ['create issue comment', 'issues/create-comment'],
    ['comment', 'issues/create-comment'],
    ['list repos for user', 'listReposForUser'],
    ['GET /repos/{owner}/{repo}', 'repos/get'],
    ['/user/repos', 'listReposForUser'],
    ['the repositories of the authenticated user', 'listReposForUser'],
    ['list the gists', 'gists/list'],
  ])('for «%s» finds %s first', (query, id) => {
    expect(found(query)[0]).toBe(id);
  });

  it.each(['list pull requests', 'List pull requests.'])(
    'for the very summary, %s, finds its operation first',
    (query) => {
      const pulls = described({
        openapi: '3.0.3',
        paths: {
          '/pull-requests/{n}/list-requests': { get: operation('pull-requests/list-requests', 'List what was pulled') },
          '/pulls': { get: operation('pulls/list', 'List pull requests') },
        },
      });
      expect(pulls.search(query, { limit: 1 })).toMatchObject({ operations: [{ id: 'pulls/list' }] });
    },
  );

  it('without words lists everything in the order of the description, and finds nothing for unknown words', () => {
    expect(found('  ')).toEqual(description.operations.map(({ id }) => id));
    expect(found('zebra')).toEqual([]);
  });

  it('answers in pages that together are the whole list, whatever the size', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('issues', '', 'list', 'user repos'),
        fc.integer({ min: 1, max: 7 }),
        (query, limit) => {
          const ids: string[] = [];
          let cursor: string | undefined;
          do {
            const page = description.search(query, { limit, cursor });
            if (!page.ok) throw new Error(page.issue.message);
            ids.push(...page.operations.map(({ id }) => id));
            expect(page.total).toBe(found(query).length);
            cursor = page.next_cursor;
          } while (cursor !== undefined);
          expect(ids).toEqual(found(query));
        },
      ),
    );
  });

  it('refuses the cursor of another query, of another description, and of nobody', () => {
    const first = description.search('issues', { limit: 1 });
    const cursor = first.ok ? first.next_cursor : undefined;
    expect(description.search('repos', { limit: 1, cursor })).toMatchObject({ ok: false, issue: { at: 'cursor' } });
    const other = described({ openapi: '3.0.3', paths: { '/issues': { get: {}, put: {} } } });
    expect(other.search('issues', { limit: 1, cursor })).toMatchObject({ ok: false });
    expect(description.search('issues', { limit: 1, cursor: 'abc' })).toMatchObject({ ok: false });
  });
});
