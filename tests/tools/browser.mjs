// Which Chromium the browser tests drive: CHROME_PATH, else one that is installed, else the npm build.
import { execFile } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';

/** A browser under test calls nobody but the page it was sent to. */
const QUIET = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/** @typedef {{ executablePath: string, args: string[], env: Record<string, string> }} Chromium launch options of playwright-core */

/**
 * @returns {Promise<Chromium>}
 */
export async function findChromium() {
  const chosen = process.env.CHROME_PATH;
  if (chosen !== undefined && chosen !== '') {
    if (!isExecutable(chosen)) throw new Error(`CHROME_PATH names ${chosen}, which is not a program`);
    return launchOptions(chosen);
  }
  const installed = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const found = [...installed, MAC].find(isExecutable);
  return found === undefined ? await unpackNpmBuild() : launchOptions(found);
}

/**
 * playwright-core of this package, for tests that live elsewhere. Untyped, so that the type check of the project does
 * not need this package to be installed.
 *
 * @returns {any}
 */
export function loadPlaywright() {
  return createRequire(import.meta.url)('playwright-core');
}

/** @param {string} executablePath @param {Record<string, string>} [extra] @returns {Chromium} */
function launchOptions(executablePath, extra = {}) {
  // Chromium's sandbox refuses to run as root, as in most containers.
  const args = process.getuid?.() === 0 ? [...QUIET, '--no-sandbox'] : QUIET;
  const inherited = Object.entries(process.env).filter((pair) => pair[1] !== undefined);
  return {
    executablePath,
    args,
    env: { .../** @type {Record<string, string>} */ (Object.fromEntries(inherited)), ...extra },
  };
}

/**
 * @sparticuz/chromium is Chromium's headless shell for Linux x64, packed with brotli together with the shared
 * libraries and fonts that a bare machine lacks. Its own unpacker writes to the system's temporary folder under fixed
 * names, where a half-written file of another run is taken for a whole one; so it unpacks into a folder of ours, in
 * a process whose TMPDIR is that folder, which takes its final name once it is complete.
 *
 * @returns {Promise<Chromium>}
 */
async function unpackNpmBuild() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('no Chromium found: install one, or name it in CHROME_PATH');
  }
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const { version } = JSON.parse(readFileSync(join(entry, '../../../package.json'), 'utf8'));
  const cache = join(here, 'node_modules/.cache');
  const final = join(cache, `chromium-${version}`);
  if (!existsSync(final)) {
    await mkdir(cache, { recursive: true });
    const fresh = mkdtempSync(join(cache, 'unpacking-'));
    const module = pathToFileURL(join(entry, '../../esm/index.js')).href;
    const program = `(await import(${JSON.stringify(module)})).default.executablePath()`;
    // With this variable the package takes the machine for a bare one and unpacks the shared libraries too.
    const env = { ...process.env, TMPDIR: fresh, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x' };
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', `await ${program}`], { env });
    try {
      renameSync(fresh, final);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      if (!existsSync(final)) throw error; // Otherwise another process was faster, with the same content.
    }
  }
  nameFonts(join(final, 'fonts'));
  const libraries = [join(final, 'al2023/lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return launchOptions(join(final, 'chromium'), { LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: join(final, 'fonts') });
}

/**
 * The font configuration in the package names /tmp/fonts and the like. Without one font Chromium draws no text, and
 * an element with nothing but text has no size.
 *
 * @param {string} folder
 */
function nameFonts(folder) {
  const escaped = folder.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const wanted = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${escaped}</dir>
  <cachedir>${escaped}/cache</cachedir>
</fontconfig>
`;
  const file = join(folder, 'fonts.conf');
  if (readFileSync(file, 'utf8') !== wanted) writeFileSync(file, wanted);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
