import { describeTastes } from './cases.ts';

describeTastes(['lying']);
