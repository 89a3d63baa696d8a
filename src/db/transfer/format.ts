import { AppError } from '../../core/errors.ts';
import type { Column } from './tables.ts';
import { type Value, valueFault } from './values.ts';

export const FORMAT = 'mcp-data-platform export';
export const FORMAT_VERSION = 1;

/** The first line: everything by which a file is accepted or refused before anything is written. */
export type Header = {
  format: typeof FORMAT;
  format_version: number;
  product_version: string;
  created_at: string;
  engine: string;
  /** The migrations that had run, in order. */
  schema: string[];
  /** Whose escrow lies in the file: it may resolve that replica's open attempts. Null: none was known. */
  replica_id: string | null;
  /** The keys that a secret in the file is encrypted with. */
  key_ids: string[];
  escrow: number;
  tables: Record<string, { columns: Column[]; rows: number }>;
};

/** A line after the header. `sequences` follows the last row, `end` is the last line. */
export type Line =
  | { escrow: string; content: string }
  | { table: string; row: Value[] }
  | { sequences: Record<string, string> }
  | { end: true; lines: number; sha256: string };

/** `line` counts from 1, as editors do. */
export class FileFault extends AppError {
  constructor(file: string, line: number, what: string) {
    super('invalid_request', `${file} cannot be imported: line ${line} ${what}. Nothing was written.`);
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isColumn = (value: unknown): value is Column =>
  isObject(value) && typeof value.name === 'string' && typeof value.type === 'string';
const isTable = (value: unknown) =>
  isObject(value) && isCount(value.rows) && Array.isArray(value.columns) && value.columns.every(isColumn);

const HEADER_FIELDS: Record<keyof Header, (value: unknown) => boolean> = {
  format: (value) => value === FORMAT,
  format_version: isCount,
  product_version: (value) => typeof value === 'string',
  created_at: (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  engine: (value) => typeof value === 'string',
  schema: (value) => isTexts(value) && value.length > 0,
  replica_id: (value) => value === null || (typeof value === 'string' && /^[0-9a-f-]{36}$/.test(value)),
  key_ids: (value) => isTexts(value) && value.every((id) => /^[0-9a-f]{16}$/.test(id)),
  escrow: isCount,
  tables: (value) => isObject(value) && Object.values(value).every(isTable),
};

export function parseJson(file: string, line: number, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below, without what the parser quotes.
  }
  throw new FileFault(file, line, 'is not a JSON object');
}

export function parseHeader(file: string, text: string): Header {
  let value: Record<string, unknown> = {};
  try {
    value = parseJson(file, 1, text);
  } catch {
    // No JSON at all: not ours, as below.
  }
  if (value.format !== FORMAT) {
    throw new AppError('invalid_request', `${file} is not a file that mcp-data-platform export has written.`);
  }
  if (isCount(value.format_version) && value.format_version > FORMAT_VERSION) {
    const sentence = `${file} was written by a newer version of the server (${String(value.product_version)}). Import it with that version.`;
    throw new AppError('invalid_request', sentence);
  }
  for (const [field, holds] of Object.entries(HEADER_FIELDS)) {
    if (!holds(value[field])) throw new FileFault(file, 1, `has no valid ${field}`);
  }
  return value as Header;
}

export function parseLine(file: string, line: number, text: string): Line {
  const value = parseJson(file, line, text);
  const { escrow, content, table, row, sequences, end, lines, sha256 } = value;
  if (typeof escrow === 'string' && typeof content === 'string') return { escrow, content };
  if (typeof table === 'string' && Array.isArray(row)) return { table, row: row as Value[] };
  if (isObject(sequences)) {
    for (const [name, last] of Object.entries(sequences)) {
      if (typeof last !== 'string' || !/^\d{1,18}$/.test(last))
        throw new FileFault(file, line, `field ${name} must be a number`);
    }
    return { sequences: sequences as Record<string, string> };
  }
  if (end === true && isCount(lines) && typeof sha256 === 'string') return { end, lines, sha256 };
  throw new FileFault(file, line, 'is none of the kinds of line that an export has');
}

/** @throws FileFault naming the field */
export function checkRow(file: string, line: number, header: Header, table: string, row: readonly unknown[]): void {
  const columns = Object.hasOwn(header.tables, table) ? header.tables[table]?.columns : undefined;
  if (columns === undefined)
    throw new FileFault(file, line, `is of the table ${JSON.stringify(table)}, which the first line does not name`);
  if (row.length !== columns.length) {
    throw new FileFault(file, line, `has ${row.length} values where ${table} has ${columns.length} columns`);
  }
  for (const [index, { name, type }] of columns.entries()) {
    const fault = valueFault(type, row[index]);
    if (fault !== undefined) throw new FileFault(file, line, `field ${table}.${name} ${fault}`);
  }
}
