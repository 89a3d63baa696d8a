import { consentSuite, eventSuite, otherStoreSuite } from '../suites/small-store-suite.ts';
import { describeOnBothEngines } from '../support/database.ts';

describeOnBothEngines('the consent store', consentSuite);
describeOnBothEngines('the history', eventSuite);
describeOnBothEngines('the other stores', otherStoreSuite);
