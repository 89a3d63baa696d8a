import type { ParameterPlace } from './description.ts';
import type { DocumentNode } from './document-node.ts';

export const STYLES = [
  'form',
  'simple',
  'label',
  'matrix',
  'spaceDelimited',
  'pipeDelimited',
  'tabDelimited',
  'deepObject',
] as const;
/** As OpenAPI names them; `tabDelimited` is `collectionFormat: tsv` of Swagger 2.0. */
export type Style = (typeof STYLES)[number];

export type Parameter = {
  name: string;
  in: ParameterPlace;
  required: boolean;
  deprecated: boolean;
  description?: string;
  /** Raw, of the document. */
  schema: unknown;
  style: Style;
  explode: boolean;
  allowReserved: boolean;
  /** Described by `content` as JSON: the value is written as one JSON text. */
  json: boolean;
  examples: unknown[];
};

export type Media = { type: string; schema: unknown; encoding?: DocumentNode; examples: unknown[] };
export type Body = { required: boolean; description?: string; media: Media[] };
export type Response = { description?: string; headers: string[]; media: Media[] };

/** An operation with its references followed and its format's differences evened out; schemas stay raw. */
export type OperationView = {
  description?: string;
  parameters: Parameter[];
  body?: Body;
  responses: Record<string, Response>;
  /** What had to be guessed or ignored. */
  notes: string[];
};
