export type PlainHeaders = Record<string, string>;

/** What a header may hold: visible Latin-1, spaces and tabs. @see https://www.rfc-editor.org/rfc/rfc9110#section-5.5 */
export const FIELD_VALUE = /^[\t\x20-\x7E\x80-\xFF]*$/;

/**
 * Headers as a record by their names in lower case, as `Headers` has them: the same object where it is one already. To make
 * `Headers` of a record and a record of those costs more than to send it.
 */
export function plainHeaders(headers: PlainHeaders | Headers | undefined): PlainHeaders {
  if (headers === undefined) return {};
  if (headers instanceof Headers) return Object.fromEntries(headers);
  const names = Object.keys(headers);
  return names.every((name) => name === name.toLowerCase()) ? headers : Object.fromEntries(new Headers(headers));
}
