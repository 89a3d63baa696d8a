/** `1 connection`, `2 connections`: for nouns whose plural is regular. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
