import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { toAppError } from '../core/errors.ts';
import type { Connection, Log } from '../core/ports.ts';
import type { CatalogMember } from './catalog-member.ts';

/** Connections that are in the catalog no longer, and not closed yet. */
export class EndingMembers {
  readonly #ending = new Set<CatalogMember>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param ended resolves when it is closed */
  add(member: CatalogMember, ended: Promise<void>): void {
    this.#ending.add(member);
    const told = (error: unknown) => this.#log.debug('closing an upstream', { error: toAppError(error) });
    void ended.catch(told).finally(() => this.#ending.delete(member));
  }

  /**
   * Closes them at once: the calls that an edit let go on end, too.
   * @param key those of one connection; left out: all
   * @param present the life of that connection whose calls go on; left out: it is deleted
   */
  async close(key?: ConnectionKey, present?: Connection['incarnation']): Promise<void> {
    const label = key && connectionLabel(key);
    const over = [...this.#ending].filter(({ key: own, connection }) => {
      return (label === undefined || connectionLabel(own) === label) && connection.incarnation !== present;
    });
    await Promise.allSettled(over.map((member) => member.close()));
  }
}
