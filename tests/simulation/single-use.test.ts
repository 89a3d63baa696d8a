import { describeTastes } from './cases.ts';

describeTastes(['strict', 'once']);
