import type { ConnectionConfig } from '../core/connection.ts';
import { REDACTED, type Secret } from '../core/redact.ts';
import { credentialTexts } from './credential-headers.ts';

/** Shorter texts are found in too much that has nothing to do with the credential. */
const SCRUBBED_LENGTH = 16;

const quoted = (text: string) => JSON.stringify(text).slice(1, -1);
const inLowerCase = (encoded: string) => encoded.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase());

function escaped(text: string, characters: RegExp, upper = false): string {
  return quoted(text).replace(characters, (one) => {
    const hex = one.charCodeAt(0).toString(16).padStart(4, '0');
    return `\\u${upper ? hex.toUpperCase() : hex}`;
  });
}

/**
 * As well-known writers of JSON escape more than they must: PHP, Gson and .NET. Needed where JSON comes as a text: in
 * lines of it, within other JSON, or under another media type.
 */
function overEscaped(secret: string): string[] {
  const forms = [
    escaped(secret, /[\u0080-\uffff]/g).replaceAll('/', '\\/'),
    escaped(secret, /[<>&='\u2028\u2029]/g),
    escaped(secret, /[<>&+'`\u0080-\uffff]/g, true),
  ];
  return [...forms, ...forms.map(quoted)];
}

/** How a text comes back: as it is, in JSON and in JSON within JSON, in a URL and in one within a URL, in a form. */
function formsOf(secret: string): string[] {
  // Nobody writes these in another way, and half of a surrogate pair has no encoding.
  if (/^[\w.~-]*$/.test(secret) || !secret.isWellFormed()) return [secret];
  const url = encodeURIComponent(secret);
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  const inUrls = [url, form, encodeURIComponent(url), encodeURIComponent(form)];
  return [
    secret,
    quoted(secret),
    quoted(quoted(secret)),
    ...overEscaped(secret),
    ...inUrls,
    ...inUrls.map(inLowerCase),
  ];
}

export type Scrubber = {
  /** Of a text that is shown to a caller. */
  text(text: string): string;
  /** Of a small file, which may be a text under another name. */
  base64(blob: string): string;
  /** Of a value that is written as JSON: its texts, names and numbers. It must not be nested too deep to be written. */
  value(value: unknown): unknown;
};

/** Takes a credential out of what is shown: an upstream that echoes requests would hand it to whoever may call it. */
export function createScrubber(secrets: readonly string[]): Scrubber {
  const long = secrets.filter((secret) => secret.length >= SCRUBBED_LENGTH);
  // The longest first: one form may be a part of another.
  const forms = [...new Set(long.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  const text = (given: string) => forms.reduce((clean, form) => clean.replaceAll(form, REDACTED), given);
  const value = (given: unknown): unknown => {
    if (typeof given === 'string') return text(given);
    if (typeof given === 'number') return text(String(given)) === String(given) ? given : REDACTED;
    if (Array.isArray(given)) return given.map(value);
    if (typeof given !== 'object' || given === null) return given;
    return Object.fromEntries(Object.entries(given).map(([name, one]) => [text(name), value(one)]));
  };
  const base64 = (blob: string) => {
    if (forms.length === 0) return blob;
    const bytes = Buffer.from(blob, 'base64').toString('latin1');
    const clean = forms.reduce((left, form) => left.replaceAll(Buffer.from(form).toString('latin1'), REDACTED), bytes);
    return clean === bytes ? blob : Buffer.from(clean, 'latin1').toString('base64');
  };
  return { text, base64, value };
}

export type ScrubberOf = (token: Secret | undefined) => Scrubber;

/** The scrubber of one connection, made anew where its access token is another: to make it costs more than to use it. */
export function createScrubberOf(config: ConnectionConfig): ScrubberOf {
  let last: { token: Secret | undefined; scrubber: Scrubber } | undefined;
  return (token) => {
    if (!last || last.token !== token) last = { token, scrubber: createScrubber(credentialTexts(config, token)) };
    return last.scrubber;
  };
}
