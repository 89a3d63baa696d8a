/** What every reader sees in place of a stored secret. A write of exactly this value keeps what is stored. */
export const REDACTED = '[REDACTED]';

const inspectCustom = Symbol.for('nodejs.util.inspect.custom');

/**
 * A value that must not be seen. It prints, serialises and inspects as `[REDACTED]`; only `reveal()` gives it back,
 * so that each place that uses a secret can be found by searching for that word.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  equals(other: Secret): boolean {
    return this.#value === other.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspectCustom](): string {
    return REDACTED;
  }
}
