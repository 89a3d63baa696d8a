import { claimSuite } from '../suites/claim-suite.ts';
import { connectionSuite } from '../suites/connection-suite.ts';
import { settlementSuite } from '../suites/settlement-suite.ts';
import { togetherSuite } from '../suites/together-suite.ts';
import { describeOnEveryStore } from '../support/database.ts';

describeOnEveryStore('the credential store settles', settlementSuite);
describeOnEveryStore('the credential store claims', claimSuite);
describeOnEveryStore('the credential store shares', togetherSuite);
describeOnEveryStore('the connection store', connectionSuite);
