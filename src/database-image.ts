import { fileURLToPath } from 'node:url';

/** The prepared database of a first start, which the build lays beside the compiled files; nothing beside the source. */
export const DATABASE_IMAGE = fileURLToPath(new URL('./database-image.gz', import.meta.url));
