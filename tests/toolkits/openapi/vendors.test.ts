import { describe, expect, it } from 'vitest';
import { DESCRIPTIONS } from '../../../scripts/descriptions.mjs';
import { descriptionFiles, readSurvey } from './survey.ts';

/** Of all operations: made-up arguments miss patterns and what a cut does not show. */
const BUILT_SHARE = 0.95;

describe('the description of a real vendor', () => {
  const files = descriptionFiles(DESCRIPTIONS);
  let operations = 0;
  let built = 0;

  it('is there for more than forty of them', () => {
    expect(files.length).toBeGreaterThan(40);
    expect(files).toContain('api.github.com.json');
  });

  it.each(files)('%s is loaded, listed, searched, and every operation of it described', (file) => {
    const survey = readSurvey(DESCRIPTIONS, file);
    expect(survey.faults).toEqual([]);
    expect(survey.operations).toBeGreaterThan(0);
    operations += survey.operations;
    built += survey.built;
  });

  it('is enough to make up arguments that become a request, for nineteen operations of twenty', () => {
    expect(built / operations).toBeGreaterThan(BUILT_SHARE);
  });
});
