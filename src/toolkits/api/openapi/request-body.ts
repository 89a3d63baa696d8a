import type { Issue, OperationArguments } from './description.ts';
import type { Document } from './document.ts';
import { asNode } from './document-node.ts';
import { bytesOf, multipartForm, urlEncodedForm } from './form-body.ts';
import { isMediaType } from './media-type.ts';
import type { Body, Media } from './operation-parts.ts';
import { choices, shown } from './words.ts';

export type BodyForm = 'json' | 'form' | 'multipart' | 'text' | 'bytes';

/** Without parameters, lower case. */
export function bareType(type: string): string {
  return (type.split(';', 1)[0] ?? '').trim().toLowerCase();
}

export function bodyForm(type: string): BodyForm {
  const bare = bareType(type);
  if (bare === '*/*' || bare === 'application/*' || /[/+]json$|\bjson\b/.test(bare)) return 'json';
  if (bare === 'application/x-www-form-urlencoded') return 'form';
  if (bare.startsWith('multipart/')) return 'multipart';
  return bare.startsWith('text/') || /[/+](?:xml|yaml|x-yaml|graphql|x-ndjson|javascript)$/.test(bare)
    ? 'text'
    : 'bytes';
}

const PREFERENCE: readonly BodyForm[] = ['json', 'form', 'multipart', 'text', 'bytes'];

/** A media type that can be sent: a range is made the type that its content most likely has. */
export function concreteType(type: string): string {
  if (!type.includes('*')) return type;
  return type.startsWith('text/')
    ? 'text/plain'
    : bodyForm(type) === 'json'
      ? 'application/json'
      : 'application/octet-stream';
}

function admits(described: string, wanted: string): boolean {
  const [one, other] = [bareType(described), bareType(wanted)];
  if (one === other || one === '*/*') return true;
  return one.endsWith('/*') && other.startsWith(one.slice(0, -1));
}

export type ChosenMedia = { media: Media; type: string } | { issue: Issue };

/** Which of the described media types is meant. */
export function chooseMedia(body: Body, wanted: string | undefined): ChosenMedia {
  const types = body.media.map((media) => media.type);
  if (wanted !== undefined) {
    const media = body.media.find((one) => admits(one.type, wanted));
    if (media !== undefined && isMediaType(wanted)) return { media, type: wanted };
    return { issue: { at: 'content_type', message: `must be one of ${choices(types)}; got ${shown(wanted)}.` } };
  }
  for (const form of PREFERENCE) {
    const media = body.media.find((one) => bodyForm(one.type) === form);
    if (media !== undefined) return { media, type: concreteType(media.type) };
  }
  return { issue: { at: 'content_type', message: 'is not described.' } };
}

/** Whether the value has the shape that the media type is written from; the schema is checked besides. */
export function shapeIssue(value: unknown, type: string): Issue | undefined {
  const form = bodyForm(type);
  if ((form === 'form' || form === 'multipart') && asNode(value) === undefined) {
    return { at: 'body', message: `must be an object of the form's fields; got ${shown(value)}.` };
  }
  if (form === 'text' && typeof value !== 'string') {
    return { at: 'body', message: `must be the ${bareType(type)} document as a text; got ${shown(value)}.` };
  }
  if (form === 'bytes' && typeof value !== 'string' && bytesOf(value) === undefined) {
    return { at: 'body', message: `must be a text, or bytes as {"base64": "…"}; got ${shown(value)}.` };
  }
  return undefined;
}

type WrittenBody = { body?: string | Uint8Array; contentType?: string };

/** The body as sent. Its shape was checked. */
export function writeBody(
  given: OperationArguments,
  chosen: { media: Media; type: string },
  document: Document,
): WrittenBody {
  const { media, type } = chosen;
  const { body } = given;
  switch (bodyForm(type)) {
    case 'json':
      return { body: JSON.stringify(body), contentType: type };
    case 'form':
      return { body: urlEncodedForm(asNode(body) ?? {}, media), contentType: type };
    case 'multipart':
      return multipartForm(asNode(body) ?? {}, media, document);
    case 'text':
      return { body: String(body), contentType: type };
    default:
      return { body: typeof body === 'string' ? body : bytesOf(body), contentType: type };
  }
}
