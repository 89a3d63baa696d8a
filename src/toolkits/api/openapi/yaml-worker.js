import { parentPort, workerData } from 'node:worker_threads';
import { readYaml } from './yaml-text.js';

const MAX_CHARACTERS = 33_554_432;
const REPEATS = { message: 'The description repeats itself beyond what can be read.' };

/** @returns {{ text: string } | { message: string }} */
function json() {
  const read = readYaml(/** @type {string} */ (workerData));
  if (!('value' in read)) return read;
  try {
    const text = JSON.stringify(read.value) ?? 'null';
    return text.length > MAX_CHARACTERS ? REPEATS : { text };
  } catch {
    // An anchor that contains itself.
    return REPEATS;
  }
}

parentPort?.postMessage(json());
