/** What one call holds of the budget. It is given back as a whole. */
export type Reservation = {
  /** Takes more; false: the budget is used up, and nothing was taken. */
  grow(bytes: number): boolean;
  release(): void;
};

/**
 * How many bytes of answers may be held at once, over all connections of the process (lesson 38). Taken as they
 * arrive, not as they are announced: a header may lie, and most answers stay far below what is permitted. Nobody waits
 * for another's share, so that two half-read answers never wait for each other: who gets none is refused, and comes
 * again. It is given back when the result is handed over: what a slow client leaves unread is not counted here.
 */
export class MemoryBudget {
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  reserve(): Reservation {
    let held = 0;
    return {
      grow: (bytes) => {
        if (this.#used + bytes > this.limit) return false;
        this.#used += bytes;
        held += bytes;
        return true;
      },
      release: () => {
        this.#used -= held;
        held = 0;
      },
    };
  }
}
