import type { Issue } from './description.ts';
import type { Document } from './document.ts';

export type Check = (schema: unknown, value: unknown, at: string, known?: ReadonlySet<string>) => Issue[];

export type CheckContext = {
  document: Document;
  /**
   * Of a parameter: on the wire everything is text, so `5` and `"5"` are the same there. In a body they are not.
   */
  wire: boolean;
  check: Check;
};
