import { parentPort, workerData } from 'node:worker_threads';
import { beginsLikeJson, extentOf, jsonFault } from './json-text.js';
import { piecesOf, TooManyMembers } from './value-pieces.js';
import { readYaml } from './yaml-text.js';

/** Ten times what real descriptions of that size have. The process that gets them back needs some 100 bytes for each. */
const MAX_VALUES = 4_000_000;
/** As in YAML; what is deeper could not be written either. */
const MAX_LEVELS = 200;
const MEMBERS = { message: 'The description has an object of more than 100000 members. Leave out what is not called.' };
const REPEATS = { message: 'The description repeats itself beyond what can be read.' };

/** @param {string} text @param {number} most of characters of YAML @returns {import('./yaml-text.js').ReadYaml} */
function parsed(text, most) {
  const body = text.replace(/^\uFEFF/, '');
  if (!beginsLikeJson(body)) return readYaml(body);
  const { values, levels } = extentOf(body);
  if (values > MAX_VALUES)
    return { message: `The description has more than ${MAX_VALUES} values. Leave out what is not called.` };
  if (levels > MAX_LEVELS) return { message: `The description is nested more than ${MAX_LEVELS} levels deep.` };
  try {
    return { value: /** @type {unknown} */ (JSON.parse(body)) };
  } catch (error) {
    const message = jsonFault(error, body);
    // A flow mapping of YAML begins like JSON.
    const flow = body.length > most ? { message } : readYaml(body);
    return 'value' in flow ? flow : { message };
  }
}

/** @returns {{ pieces: import('./value-pieces.js').Pieces } | { message: string }} */
function read() {
  const { text, limit, yaml_limit } = /** @type {{ text: string, limit: number, yaml_limit: number }} */ (workerData);
  const found = parsed(text, yaml_limit);
  if (!('value' in found)) return found;
  try {
    const written = JSON.stringify(found.value) ?? 'null';
    return written.length > limit ? REPEATS : { pieces: piecesOf(found.value, written) };
  } catch (error) {
    // Else an anchor that contains itself.
    return error instanceof TooManyMembers ? MEMBERS : REPEATS;
  }
}

parentPort?.postMessage(read());
