import { resolve } from 'node:path';

import type { Argv, CommandModule } from 'yargs';

import { shortPath, shown, UsageError } from '../errors.js';
import { installCuda, type Installed, type InstallOptions } from '../gpu/install.js';
import { defaultInstallFolder, thisMachine } from '../gpu/machine.js';
import { openPip } from '../gpu/pip.js';
import { once } from './arguments.js';
import { print, tell } from './print.js';
import { withExamples } from './examples.js';

interface Arguments {
  readonly dir: unknown;
  readonly libraries: unknown;
  readonly python: unknown;
  readonly json: unknown;
}

const SOURCES = ['auto', 'system', 'wheels'] as const;

/** `segr1 gpu install`: fetches everything for NVIDIA GPUs except the driver. */
export const gpuCommand: CommandModule = {
  command: 'gpu',
  describe: 'what computing on an NVIDIA GPU needs',
  builder: (parser: Argv) =>
    parser.command(withExamples(installCommand(), 'gpu')).demandCommand(1, 'gpu: expected install; got nothing'),
  handler: () => {},
};

function installCommand(): CommandModule<object, Arguments> {
  const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;
  return {
    command: 'install',
    describe: "fetch ONNX Runtime's CUDA provider, and NVIDIA's libraries where they are missing",
    builder: (parser: Argv) =>
      parser
        .option('dir', text("folder for it; one in the user's cache by default"))
        .option(
          'libraries',
          text("wheels: fetch all of NVIDIA's libraries; system: none; auto, the default: those that are missing"),
        )
        .option('python', text('a Python with pip, which does the fetching; python3 by default'))
        .option('json', { type: 'boolean', describe: 'print JSON' }),
    handler: async (given) => {
      const [machine, dir] = [thisMachine(), once(given.dir, 'dir')];
      const folder = resolve(dir ?? defaultInstallFolder(machine));
      const pip = (): ReturnType<typeof openPip> =>
        openPip(once(given.python, 'python') ?? 'python3', process.stderr.isTTY);
      const installed = await installCuda({
        machine,
        folder,
        libraries: sourceOf(once(given.libraries, 'libraries') ?? 'auto'),
        pip,
        report: tell,
      });
      const found = folder === resolve(defaultInstallFolder(machine));
      print(given.json === true ? JSON.stringify(toJson(installed), null, 2) : toText(installed, found));
    },
  };
}

function sourceOf(text: string): InstallOptions['libraries'] {
  const source = SOURCES.find((name) => name === text);
  if (source === undefined) throw new UsageError(`--libraries: expected ${SOURCES.join(', ')}; got ${shown(text)}`);
  return source;
}

function toJson({ folder, manifest, fetched, missing }: Installed): object {
  return { folder, ...manifest, fetched, missing };
}

function toText({ folder, manifest, fetched, missing }: Installed, found: boolean): string {
  const sizes = manifest.packages.map(({ files }) => Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0));
  return [
    `${shortPath(folder)}  ${fetched.length > 0 ? 'installed' : 'complete, nothing to do'}`,
    ...manifest.packages.map(
      ({ name, version }, i) =>
        `  ${name.padEnd(20)} ${version.padEnd(12)} ${`${Math.ceil((sizes[i] ?? 0) / 1e6)} MB`.padStart(8)}  ${fetched.includes(name) ? 'written' : 'verified'}`,
    ),
    ...missing.map(({ message }) => message),
    ...(found ? [] : [`Set SEGR1_CUDA=${folder}, for only the default folder is found by itself.`]),
    missing.length > 0 ? 'Still missing: the above. Then: segr1 doctor' : 'Next: segr1 doctor',
  ].join('\n');
}
