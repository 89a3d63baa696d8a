import { callRecordSuite } from '../suites/call-record-suite.ts';
import { incidentSuite } from '../suites/incident-suite.ts';
import { consentSuite, eventSuite, otherStoreSuite, revocationSuite } from '../suites/small-store-suite.ts';
import { toolChangeSuite } from '../suites/tool-change-suite.ts';
import { describeOnEveryStore } from '../support/database.ts';

describeOnEveryStore('the consent store', consentSuite);
describeOnEveryStore('the history', eventSuite);
describeOnEveryStore('the other stores', otherStoreSuite);
describeOnEveryStore('the list of tokens to be revoked', revocationSuite);
describeOnEveryStore('the records of calls', callRecordSuite);
describeOnEveryStore('the changes of tools', toolChangeSuite);
describeOnEveryStore('the incidents of authorization servers', incidentSuite);
