import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type { ListKind } from '../core/ports.ts';
import type { CatalogChange } from './catalog-api.ts';

/** Gathers what changed until it is told. */
export class PendingChanges {
  #changes = new Map<string, { key: ConnectionKey; lists: Set<ListKind>; state: boolean }>();

  add(key: ConnectionKey, lists: readonly ListKind[], state: boolean): void {
    const label = connectionLabel(key);
    const change = this.#changes.get(label) ?? { key, lists: new Set(), state: false };
    for (const list of lists) change.lists.add(list);
    change.state ||= state;
    this.#changes.set(label, change);
  }

  take(): CatalogChange[] {
    const changes = [...this.#changes.values()];
    this.#changes = new Map();
    return changes;
  }
}
