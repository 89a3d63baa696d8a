import type { Issue } from './description.ts';
import type { Document } from './document.ts';
import type { DocumentNode } from './document-node.ts';

export type Check = (schema: unknown, value: unknown, at: string, known?: ReadonlySet<string>) => Issue[];

export type CheckContext = {
  document: Document;
  /**
   * Of a parameter: on the wire everything is text, so `5` and `"5"` are the same there. In a body they are not.
   */
  wire: boolean;
  /** Of compositions that were met: the names of all members that they describe. */
  names: Map<DocumentNode, ReadonlySet<string>>;
  check: Check;
};
