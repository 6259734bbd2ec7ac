import { pathToFileURL } from 'node:url';

import { messageOf, UsageError } from './errors.js';

/**
 * The exports of a user's module, by name.
 *
 * @param file an absolute path, or a `file:` URL.
 * @param written the file as the user names it.
 * @throws {UsageError} if it does not load.
 */
export async function importModule(file: string, written = file): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(file.startsWith('file:') ? file : pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`expected a module that loads; got ${faultOf(error, JSON.stringify(written))}`, {
      cause: error,
    });
  }
}

function faultOf(error: unknown, written: string): string {
  const { code, message: text } = (error instanceof Error ? error : {}) as Partial<NodeJS.ErrnoException>;
  const node = `Node.js ${process.versions.node}`;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.[mc]?tsx?\b/.test(text ?? ''))
    return `TypeScript, which ${node} does not read, in ${written}; way out: Node.js 22.18 or newer, or compile it to JavaScript`;
  if (code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING')
    return `TypeScript in a package, which ${node} does not read there, in ${written}; way out: a file outside node_modules, or compile it to JavaScript`;
  if (code === 'ERR_MODULE_NOT_FOUND' && /package 'segr1'/.test(text ?? ''))
    return `${messageOf(error)} in ${written}; way out: npm install segr1 in the module's project`;
  return `${messageOf(error)} in ${written}`;
}
