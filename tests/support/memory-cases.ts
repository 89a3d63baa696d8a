const BY_SQL = 'it prepares its case by SQL, and the memory has none';
const ENCRYPTED = 'what the memory holds is read by nobody: that it lies encrypted is the business of the databases';
const KEYS = 'the keys of a database are kept beside its rows, by SQL';

/** The cases of the suites that the stores in memory leave out, each with the reason. */
export const NOT_IN_MEMORY: ReadonlyMap<string, string> = new Map([
  ['claims from strangers once their owner is silent for long, or unknown (rule 15)', BY_SQL],
  ['reports a token that was moved from another connection instead of using it', BY_SQL],
  ['is listed with the name of the field that no longer passes validation', BY_SQL],
  ['is listed, and never used, when it names a program and did not come from the configuration file', BY_SQL],
  ['is listed when a secret is missing or its kind is unknown', BY_SQL],
  ['writes no token, verifier or secret as it is', ENCRYPTED],
  ['cannot be finished by a reader of the table', ENCRYPTED],
  ['passes with the key that rows were written with, and says so clearly when it is another (lesson 17)', KEYS],
  ['counts a revocation that is still owed, whose connection is gone', KEYS],
  ['accepts a new key beside the old one, and forgets a key that nothing needs', KEYS],
  ['asks the database once, however many there are', 'there is none to ask'],
  ['holds exactly the closed list of types, and the database refuses any other', 'it compares a constraint of SQL'],
  ['holds exactly the closed list of outcomes, and the database refuses any other', 'it compares a constraint of SQL'],
  ['store what a provider said, half a surrogate pair included', 'it is a bound of the text of PostgreSQL'],
  [
    'keeps a list and its names whatever characters are in them, one that no text can hold included',
    'it is a bound of the text of PostgreSQL',
  ],
  ['tells of a refused statement by its code alone (lesson 50)', 'the codes are those of SQL'],
]);
