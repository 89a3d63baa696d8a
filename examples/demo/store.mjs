// Where the identity provider keeps clients, grants, sessions and tokens: one JSON file, small enough for a demo.
import { readJson, writeJson } from './process.mjs';

/** @typedef {{ payload: any, until?: number }} Row */

const now = () => Math.floor(Date.now() / 1000);

/**
 * An adapter of oidc-provider over one file. Every change is on disk (fsync, rename) before it is answered, so a
 * token that a client has received is known after a crash as well, and a used one stays used.
 *
 * @param {string} file
 */
export function createFileStore(file) {
  /** @type {Map<string, Row>} */
  const rows = new Map(Object.entries(readJson(file) ?? {}));

  const persist = () => {
    for (const [key, row] of rows) if (row.until !== undefined && row.until < now()) rows.delete(key);
    writeJson(file, Object.fromEntries(rows));
  };
  const live = (/** @type {string} */ key) => {
    const row = rows.get(key);
    return row === undefined || (row.until !== undefined && row.until < now()) ? undefined : row;
  };

  return class FileAdapter {
    /** @param {string} model */
    constructor(model) {
      this.model = model;
    }

    /** @param {string} id @param {any} payload @param {number} [expiresIn] */
    async upsert(id, payload, expiresIn) {
      const until = expiresIn === undefined ? {} : { until: now() + expiresIn };
      rows.set(`${this.model}:${id}`, { payload: structuredClone(payload), ...until });
      persist();
    }

    /** @param {string} id */
    async find(id) {
      return structuredClone(live(`${this.model}:${id}`)?.payload);
    }

    /** @param {string} uid */
    async findByUid(uid) {
      for (const [key, row] of rows) {
        if (key.startsWith(`${this.model}:`) && row.payload.uid === uid) return structuredClone(live(key)?.payload);
      }
      return undefined;
    }

    /** Device codes are not offered. */
    async findByUserCode() {
      return undefined;
    }

    /** @param {string} id */
    async consume(id) {
      const row = live(`${this.model}:${id}`);
      if (row === undefined) return;
      row.payload.consumed = now();
      persist();
    }

    /** @param {string} id */
    async destroy(id) {
      if (rows.delete(`${this.model}:${id}`)) persist();
    }

    /** @param {string} grantId */
    async revokeByGrantId(grantId) {
      for (const [key, row] of rows) {
        if (key.startsWith(`${this.model}:`) && row.payload.grantId === grantId) rows.delete(key);
      }
      persist();
    }
  };
}
