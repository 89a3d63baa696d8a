/**
 * Whole numbers of 16 digits and more, and where texts begin: 2^53 has 16 digits, and beyond it a number loses some.
 * @see https://www.rfc-editor.org/rfc/rfc8259#section-6
 */
const LONG_OR_TEXT = /"|(?<![\d.eE+-])-?[1-9]\d{15,}(?![\d.eE])/g;

function endOfText(json: string, open: number): number {
  for (let at = json.indexOf('"', open + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let escapes = 0;
    while (json[at - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return at + 1;
  }
  return json.length;
}

/** Of such a number among arguments, which came as a number of JSON. */
export const LOSES_DIGITS = 'is beyond 2^53, where a number loses its last digits';

/** Whether a number stands for another than was written; 1e21 and more are no ids. */
export function isInexact(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21;
}

/** The JSON with each whole number that would lose digits as a text of them; the same text where there is none. */
export function withLongNumbersAsTexts(json: string): string {
  // Most answers have none: looked for first, without regard for texts.
  if (!/\d{16}/.test(json)) return json;
  const pieces: string[] = [];
  let done = 0;
  LONG_OR_TEXT.lastIndex = 0;
  for (let found = LONG_OR_TEXT.exec(json); found; found = LONG_OR_TEXT.exec(json)) {
    const [text] = found;
    if (text === '"') LONG_OR_TEXT.lastIndex = endOfText(json, found.index);
    else if (!Number.isSafeInteger(Number(text))) {
      pieces.push(json.slice(done, found.index), `"${text}"`);
      done = LONG_OR_TEXT.lastIndex;
    }
  }
  return done === 0 ? json : pieces.join('') + json.slice(done);
}

/** Where a value holds such a number: `` itself, `.a.b`, `[2]`; undefined: nowhere. */
export function inexactAt(given: unknown): string | undefined {
  const open: [value: unknown, at: string][] = [[given, '']];
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, at] = next;
    if (isInexact(value)) return at;
    if (Array.isArray(value)) for (const [index, one] of value.entries()) open.push([one, `${at}[${index}]`]);
    else if (typeof value === 'object' && value !== null) {
      for (const [name, one] of Object.entries(value)) open.push([one, `${at}.${name}`]);
    }
  }
  return undefined;
}
