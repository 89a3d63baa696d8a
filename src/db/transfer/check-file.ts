import { AppError } from '../../core/errors.ts';
import { isEscrowFile } from '../escrow.ts';
import type { EscrowFile } from './escrow-files.ts';
import { checkRow, FileFault, type Header, type Line, parseHeader, parseLine } from './format.ts';
import { readLines } from './lines.ts';

/** A file that has been read to its end and found whole. */
export type CheckedFile = {
  file: string;
  header: Header;
  escrow: EscrowFile[];
  sequences: Record<string, string>;
  sha256: string;
};

/** Reads a whole file and checks every line of it, before anything is written. @throws AppError naming line and field */
export async function checkFile(file: string): Promise<CheckedFile> {
  let header: Header | undefined;
  let sequences: Record<string, string> | undefined;
  let end: Extract<Line, { end: true }> | undefined;
  const escrow: EscrowFile[] = [];
  const counts = new Map<string, number>();
  let last = 0;
  for await (const { line, text, sha256Before } of readLines(file)) {
    last = line;
    if (header === undefined) {
      header = parseHeader(file, text);
      continue;
    }
    if (end !== undefined) throw new FileFault(file, line, 'comes after the end');
    const parsed = parseLine(file, line, text);
    if ('end' in parsed) {
      if (parsed.sha256 !== sha256Before || parsed.lines !== line - 1) {
        throw new FileFault(
          file,
          line,
          'has another checksum than the lines before it: the file was changed or damaged',
        );
      }
      end = parsed;
    } else if ('sequences' in parsed) {
      sequences = parsed.sequences;
    } else if ('escrow' in parsed) {
      if (!isEscrowFile(parsed.escrow))
        throw new FileFault(file, line, 'field escrow is not the name of an escrow file');
      escrow.push({ name: parsed.escrow, content: parsed.content });
    } else {
      checkRow(file, line, header, parsed.table, parsed.row);
      counts.set(parsed.table, (counts.get(parsed.table) ?? 0) + 1);
    }
  }
  if (header === undefined) throw new AppError('invalid_request', `${file} is empty. Nothing was written.`);
  if (end === undefined || sequences === undefined) {
    throw new FileFault(file, last, 'is the last one, and the end is missing: the file is not complete');
  }
  refuseWrongCounts(file, header, counts, escrow.length);
  return { file, header, escrow, sequences, sha256: end.sha256 };
}

function refuseWrongCounts(file: string, header: Header, counts: ReadonlyMap<string, number>, escrow: number): void {
  for (const [table, { rows }] of Object.entries(header.tables)) {
    const found = counts.get(table) ?? 0;
    if (found !== rows) throw new FileFault(file, 1, `announces ${rows} rows of ${table}, and the file has ${found}`);
  }
  if (header.escrow !== escrow)
    throw new FileFault(file, 1, `announces ${header.escrow} escrow entries, and the file has ${escrow}`);
}

/** @param known the migrations of this server */
export function refuseUnknownSchema({ file, header }: CheckedFile, known: readonly string[]): void {
  const unknown = header.schema.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new AppError(
    'invalid_request',
    `${file} was made by version ${header.product_version}, whose database has a migration that this version does not know ` +
      `(${unknown}). Import it with that version or a newer one.`,
  );
}

/** @param where how the right key is put in place here, for the sentence */
export function refuseOtherKey({ file, header }: CheckedFile, ours: readonly string[], where: string): void {
  const missing = header.key_ids.filter((id) => !ours.includes(id));
  if (missing.length === 0) return;
  throw new AppError(
    'invalid_config',
    `The secrets in ${file} are encrypted with another key (${missing.join(', ')}) than this server has ` +
      `(${ours.join(', ') || 'none'}). ${where}`,
    { issues: [{ path: 'ENCRYPTION_KEY', message: 'is not the key of the file' }] },
  );
}
