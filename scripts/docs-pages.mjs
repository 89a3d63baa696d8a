// The two pages that are made from tables of the source: npm run docs writes them, tests/docs.test.ts compares them.

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
const row = (cells) => `| ${cells.join(' | ')} |\n`;

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
