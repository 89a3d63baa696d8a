import { expect, it } from 'vitest';
import { plainHeaders } from '../../src/core/plain-headers.ts';

it('leaves a record alone whose names are in lower case already', () => {
  const headers = { accept: '*/*', 'content-type': 'text/plain' };
  expect(plainHeaders(headers)).toBe(headers);
});

it('has the names of any other in lower case, and what is there twice as one, as Headers do', () => {
  expect(plainHeaders({ Accept: 'a', accept: 'b', 'X-Team': ' t ' })).toEqual({ accept: 'a, b', 'x-team': 't' });
  expect(plainHeaders(new Headers({ 'X-Team': 't' }))).toEqual({ 'x-team': 't' });
  expect(plainHeaders(undefined)).toEqual({});
});
