// Plain JavaScript, because a worker thread starts from its file on disk: from `src` too, where nothing compiles it.

/** @param {string} text */
export function beginsLikeJson(text) {
  return /^\s*[{[]/.test(text.slice(0, 1000));
}

/**
 * The text of a parser's complaint may quote the document: only its place is told.
 * @param {unknown} error @param {string} text
 */
export function jsonFault(error, text) {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
  const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
  return `The description begins as JSON and is not: ${line === undefined ? 'it ends too early' : `see line ${line}`}.`;
}

/**
 * What a JSON text has to offer, before it is parsed: its values are counted by what begins or parts them.
 * @param {string} text
 */
export function extentOf(text) {
  let values = 0;
  let level = 0;
  let levels = 0;
  let isText = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (isText) {
      if (character === '\\') at += 1;
      else isText = character !== '"';
    } else if (character === '"') isText = true;
    else if (character === ',') values += 1;
    else if (character === '{' || character === '[') {
      values += 1;
      level += 1;
      if (level > levels) levels = level;
    } else if (character === '}' || character === ']') level -= 1;
  }
  return { values, levels };
}
