/** How much of a field's weight a word earns there. */
const EXACT = 4;
const BEGINNING = 2;
const INSIDE = 1;
/** Shorter pieces are inside of too many words. */
const INSIDE_CHARACTERS = 3;

/** Words in lower case: `listPullRequests`, `list-pull-requests` and `HTTPServer` are split where a reader would. */
export function wordsOf(text: string): string[] {
  return runsOf(text.replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2').replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2'));
}

/** Words in lower case, `listPullRequests` as one. */
function runsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** `issues` and `issue`, `repositories` and `repository` are one word. */
export function stem(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

/** Every word once, with the slots that have it: some three thousand words for the ten thousand fields of a large API. */
class Vocabulary {
  readonly #slots = new Map<string, number[]>();

  add(word: string, slot: number): void {
    const slots = this.#slots.get(word);
    if (slots === undefined) this.#slots.set(word, [slot]);
    else if (slots.at(-1) !== slot) slots.push(slot);
  }

  /** Marks the slots of every word that earns something. */
  mark(earned: (word: string) => number, levels: Uint8Array): void {
    for (const [word, slots] of this.#slots) {
      const level = earned(word);
      if (level === 0) continue;
      for (const slot of slots) if ((levels[slot] ?? 0) < level) levels[slot] = level;
    }
  }
}

/** Where which word is said: entries of a few weighted fields each, looked through word by word instead of entry by entry. */
export class WordIndex {
  readonly #weights: readonly number[];
  readonly #stems = new Vocabulary();
  readonly #runs = new Vocabulary();
  #entries = 0;

  /** @param weights one for each field of an entry */
  constructor(weights: readonly number[]) {
    this.#weights = weights;
  }

  /** @returns how many words each field has */
  add(fields: readonly string[]): number[] {
    const first = this.#entries * this.#weights.length;
    this.#entries += 1;
    return fields.map((text, field) => {
      const words = wordsOf(text);
      for (const word of words) this.#stems.add(stem(word), first + field);
      for (const run of runsOf(text)) this.#runs.add(run, first + field);
      return words.length;
    });
  }

  /** What each entry earns by a word, in the order in which they were added; 0 where it does not have it. */
  scores(word: string): Uint16Array {
    const levels = new Uint8Array(this.#entries * this.#weights.length);
    if (word.length >= INSIDE_CHARACTERS) this.#runs.mark((known) => (known.includes(word) ? INSIDE : 0), levels);
    this.#stems.mark((known) => (known === word ? EXACT : known.startsWith(word) ? BEGINNING : 0), levels);
    const scores = new Uint16Array(this.#entries);
    let slot = 0;
    for (let entry = 0; entry < scores.length; entry += 1) {
      let score = 0;
      for (const weight of this.#weights) {
        score += weight * (levels[slot] ?? 0);
        slot += 1;
      }
      scores[entry] = score;
    }
    return scores;
  }
}
