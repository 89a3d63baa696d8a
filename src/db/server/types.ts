import pg from 'pg';

/** Type numbers of PostgreSQL (`pg_type.oid`), as stable as its protocol. */
const INT8 = 20;
const INT8_ARRAY = 1016;
const TEXT_TYPES = new Set([1082 /* date */, 1114 /* timestamp */, 1186 /* interval */]);

type Parser = (text: string) => unknown;

/** Reads values as the embedded engine does, without touching the driver's global table. */
export const valueTypes: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): Parser {
    if (oid === INT8) return (text) => BigInt(text);
    if (TEXT_TYPES.has(oid)) return (text) => text;
    const inherited = pg.types.getTypeParser(oid, format ?? 'text') as Parser;
    if (oid !== INT8_ARRAY) return inherited;
    return (text) => (inherited(text) as unknown[]).map((item) => (item === null ? null : BigInt(String(item))));
  },
};
