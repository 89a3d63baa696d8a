import { describeTastes } from './cases.ts';

describeTastes(['slow']);
