import { describeTastes } from './cases.ts';

describeTastes(['static', 'grace', 'firstuse']);
