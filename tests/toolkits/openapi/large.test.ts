import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DESCRIPTIONS } from '../../../scripts/descriptions.mjs';
import { systemClock } from '../../../src/clock.ts';
import type { Clock } from '../../../src/core/ports.ts';
import { createDescriptionReader } from '../../../src/toolkits/api/openapi/description-reader.ts';
import { parseDescription } from '../../../src/toolkits/api/openapi/index.ts';
import { extentOf } from '../../../src/toolkits/api/openapi/json-text.js';
import { type Pieces, piecesOf } from '../../../src/toolkits/api/openapi/value-pieces.js';

const options = { base_url: 'https://api.github.com' };
const reader = createDescriptionReader();

async function read(text: string, clock: Clock = systemClock) {
  const parsed = await reader(text, options, clock);
  return parsed.ok
    ? { description: parsed.description }
    : { refusal: parsed.issues.map(({ message }) => message).join() };
}

/** With paths until it is too large to be parsed where everybody waits. */
function large(rest: object = {}): string {
  const summary = 'What is long and says little. '.repeat(40);
  const paths = Object.fromEntries(
    Array.from({ length: 1_500 }, (_, index) => [`/things/${index}`, { get: { operationId: `get${index}`, summary } }]),
  );
  return JSON.stringify({ openapi: '3.1.0', info: { title: 'Large' }, paths, ...rest });
}

describe('a description that is large', () => {
  it('is read as it would be at once: every operation, search and schema (GitHub)', async () => {
    const text = readFileSync(join(DESCRIPTIONS, 'api.github.com.json'), 'utf8');
    const { description } = await read(text);
    const whole = parseDescription(text, options);
    if (!description || !whole.ok) throw new Error('not read');
    const { title, version, format, warnings, operations } = whole.description;
    expect({ ...description, operations: description.operations, warnings: description.warnings }).toMatchObject({
      ...{ title, version, format, warnings, operations },
    });
    for (const operation of operations.filter((_, index) => index % 40 === 0)) {
      expect(description.describe(operation)).toEqual(whole.description.describe(operation));
    }
    for (const query of ['create an issue', '', 'repos/get']) {
      expect(description.search(query, { limit: 50 })).toEqual(whole.description.search(query, { limit: 50 }));
    }
  });

  it('keeps names that mean something to the language, the order of lists, and long texts', async () => {
    const schema = {
      properties: JSON.parse(
        '{"__proto__":{"type":"integer"},"7":{"type":"string"},"constructor":{"type":"boolean"}}',
      ) as object,
      enum: Array.from({ length: 40_000 }, (_, index) => index),
      description: 'x'.repeat(300_000),
      examples: [Array.from({ length: 3 }, () => 'y'.repeat(140_000)), null, ''],
    };
    const components = JSON.parse(
      `{"schemas":{"Odd":${JSON.stringify(schema)},"__proto__":{"type":"null"}}}`,
    ) as object;
    const parameters = [{ name: 'q', in: 'query', schema: { $ref: '#/components/schemas/Odd' } }];
    const text = large({ components, webhooks: {} }).replace(
      '"operationId":"get0"',
      `"operationId":"get0","parameters":${JSON.stringify(parameters)}`,
    );
    const { description } = await read(text);
    const whole = parseDescription(text, options);
    if (!description || !whole.ok) throw new Error('not read');
    const [operation] = whole.description.operations;
    if (!operation) throw new Error('none');
    const limit = { max_bytes: 10_000_000 };
    expect(description.describe(operation, limit)).toEqual(whole.description.describe(operation, limit));
    const wrong = { query_params: { q: { __proto__: null, '7': 7 } } };
    expect(description.validate(operation, wrong)).toEqual(whole.description.validate(operation, wrong));
  });

  it('lets others be served between the parts of the work', async () => {
    let pauses = 0;
    let now = 0;
    // Each look at this clock finds that five milliseconds have gone by.
    const clock: Clock = {
      ...{ now: systemClock.now, timeout: systemClock.timeout },
      monotonic: () => (now += 5),
      sleep: (ms, signal) => {
        if (ms === 0) pauses += 1;
        return systemClock.sleep(ms, signal);
      },
    };
    const text = large();
    expect((await read(text, clock)).description?.operations).toHaveLength(1_500);
    expect(pauses).toBeGreaterThan(1_000);
  });

  it.each<[what: string, text: () => string, told: RegExp]>([
    ['broken', () => `${large().slice(0, -1)}\n,,}`, /^The description begins as JSON and is not: see line 2\.$/],
    ['a list', () => `[${large()}]`, /not an object/],
    ['of another format', () => large({ openapi: undefined }), /another format/],
    [
      'of more values than any has',
      () => large({ 'x-a': Array.from({ length: 4_000_001 }, () => 1) }),
      /more than 4000000 values/,
    ],
    [
      'one object of more members than any has',
      () => large({ 'x-a': Object.fromEntries(Array.from({ length: 100_001 }, (_, index) => [`k${index}`, 1])) }),
      /more than 100000 members/,
    ],
    [
      'without bottom',
      () => large().replace(/}$/, `,"x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`),
      /more than 200 levels/,
    ],
  ])('and %s is refused with a sentence', async (_, text, told) => {
    expect((await read(text())).refusal).toMatch(told);
  });
});

describe('a value taken to pieces', () => {
  const texts = (pieces: Pieces): string[] =>
    typeof pieces === 'string'
      ? [pieces]
      : pieces.parts.flatMap((part) => (typeof part === 'string' ? [part] : texts(part[1])));

  it('is one text where it is small, else texts that are all small, but for a single text that is not', () => {
    expect(piecesOf({ a: [1, 'x'] })).toBe('{"a":[1,"x"]}');
    const long = 'x'.repeat(500_000);
    const value = {
      many: Array.from({ length: 90_000 }, (_, index) => ({ index })),
      deep: { long, few: [1] },
      last: 1,
    };
    const [largest = '', ...others] = texts(piecesOf(value)).sort((a, b) => b.length - a.length);
    expect(largest).toBe(JSON.stringify(long));
    for (const text of others) expect(text.length).toBeLessThan(300_000);
    expect(others.length).toBeGreaterThan(8);
  });

  it('is measured before it is parsed: texts do not count, however they are written', () => {
    expect(extentOf('{"a,[{":["\\"[[,",{"b":[]}]}')).toEqual({ values: 5, levels: 4 });
    expect(extentOf('[1,2,3]')).toEqual({ values: 3, levels: 1 });
  });
});
