import { Composer, Parser } from 'yaml';

// Plain JavaScript, because a worker thread starts from its file on disk: from `src` too, where nothing compiles it.

/** @typedef {{ value: unknown } | { message: string }} ReadYaml `message`: why it cannot be read, without a word of it */

/**
 * Levels of a document. The composer of `yaml` recurses, and a stack that ends inside of the regular expression engine
 * takes the whole process down instead of throwing (lesson 38).
 */
const MAX_LEVELS = 200;

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param {unknown} token @returns {unknown[]} */
function inside(token) {
  if (!isObject(token)) return [];
  const items = Array.isArray(token.items) ? /** @type {unknown[]} */ (token.items) : [];
  return [token.value, ...items.flatMap((item) => (isObject(item) ? [item.key, item.value] : []))];
}

/** @param {readonly unknown[]} tokens */
function isTooDeep(tokens) {
  let level = [...tokens];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_LEVELS) return true;
    level = level.flatMap(inside).filter(isObject);
  }
  return false;
}

/** @param {string} text @returns {ReadYaml} */
export function readYaml(text) {
  try {
    const tokens = [...new Parser().parse(text)];
    if (isTooDeep(tokens)) return { message: `The description is nested more than ${MAX_LEVELS} levels deep.` };
    const composer = new Composer({ strict: false, uniqueKeys: false, logLevel: 'silent', merge: true });
    const [document] = composer.compose(tokens, true, text.length);
    const fault = document?.errors[0];
    if (document === undefined || fault !== undefined) {
      const line = text.slice(0, fault?.pos[0] ?? 0).split('\n').length;
      return { message: `The description is neither JSON nor YAML: see line ${line}.` };
    }
    return { value: /** @type {unknown} */ (document.toJS({ maxAliasCount: 1000 })) };
  } catch {
    return { message: 'The description is neither JSON nor YAML, or repeats itself beyond what can be read.' };
  }
}
