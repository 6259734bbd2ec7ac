import { messageOf, UsageError } from '../errors.js';

/**
 * The modules of the program: Node opens several hundred files for them at once.
 *
 * @throws {UsageError} where the system lets a process open fewer.
 */
export async function loaded<Module>(load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EMFILE' && code !== 'ENFILE') throw error;
    throw new UsageError(
      `open files: expected a limit of at least 1024; got ${messageOf(error)}; way out: ulimit -n 1024, in the shell that starts segr1`,
      { cause: error },
    );
  }
}
