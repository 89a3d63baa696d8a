import { claimSuite } from '../suites/claim-suite.ts';
import { connectionSuite } from '../suites/connection-suite.ts';
import { settlementSuite } from '../suites/settlement-suite.ts';
import { describeOnBothEngines } from '../support/database.ts';

describeOnBothEngines('the credential store settles', settlementSuite);
describeOnBothEngines('the credential store claims', claimSuite);
describeOnBothEngines('the connection store', connectionSuite);
