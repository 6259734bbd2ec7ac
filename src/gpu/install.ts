import { existsSync, readdirSync, rmSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';

import { DataError, messageOf, UsageError } from '../errors.js';
import { CUDA, surveyCuda, type Missing } from './find.js';
import type { Machine } from './machine.js';
import { firstFault, readManifest, sha256Of, writeManifest, type FileRecord, type Manifest } from './manifest.js';
import type { Pip } from './pip.js';
import { BRIDGE, commitOf, PROVIDER, providerVersion } from './provider.js';
import { neededBy } from './shared-object.js';
import { libraryParts, providerPart, type Part } from './parts.js';
import { nameOfWheel, readRecord, readWheel, unpack, type Entry } from './wheel.js';

export interface InstallOptions {
  readonly machine: Machine;
  /** Where everything goes. */
  readonly folder: string;
  /**
   * Where CUDA's libraries come from: `auto` fetches those that the machine doesn't have, `wheels` all, `system` none.
   */
  readonly libraries: 'auto' | 'system' | 'wheels';
  /** Called once something has to be fetched. */
  readonly pip: () => Promise<Pip>;
  /** Called with a line for each step. */
  readonly report: (line: string) => void;
}

/** The result of an installation. */
export interface Installed {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Names of the packages that were written; the others were intact. */
  readonly fetched: readonly string[];
  /** What CUDA still lacks on this machine, such as a driver. */
  readonly missing: readonly Missing[];
}

type Package = Manifest['packages'][number];

const RUNTIME = 'libonnxruntime.so.1';
/** Folders of running or killed calls, with their process's id. */
const FETCHING = '.fetching-';

/**
 * Puts ONNX Runtime's CUDA provider into a folder, beside a copy of onnxruntime-node's library, and NVIDIA's libraries
 * if wanted. A killed call is continued: complete packages are not fetched again. Each file is checked against the
 * SHA-256 in its wheel.
 *
 * @throws {UsageError} if this machine can't use it, the disk is too small, or `system` lacks a library; {DataError}
 * for a wheel that is damaged or of another build; Error if pip fails.
 */
export async function installCuda(options: InstallOptions): Promise<Installed> {
  const { machine, folder, report } = options;
  if (machine.platform !== 'linux/x64')
    throw new UsageError(
      `gpu install: expected linux/x64, for which the CUDA provider is built; got ${machine.platform}`,
    );
  const commit = commitOf(join(machine.onnxruntime.folder, RUNTIME));
  if (commit === undefined)
    throw new UsageError(
      `gpu install: expected onnxruntime-node's ${RUNTIME} in ${machine.onnxruntime.folder}; got none that names its commit; way out: npm ci`,
    );
  const parts = [providerPart(machine), ...wantedLibraries(options)];

  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw new UsageError(`--dir: expected a folder that can be written; got ${messageOf(error)}`);
  });
  dropLeftovers(folder);
  const before = readManifest(folder);
  const known = before?.onnxruntime === machine.onnxruntime.version && before.commit === commit ? before.packages : [];
  const whole = await wholePackages(known, folder, report);
  const lacking = parts.filter(({ name }) => !whole.some((part) => part.name === name));
  enoughRoom(machine, folder, lacking);

  let manifest: Manifest = {
    format: 1,
    onnxruntime: machine.onnxruntime.version,
    commit,
    date: before?.date ?? new Date().toISOString(),
    packages: [...whole],
  };
  const keep = async (part: Package): Promise<void> => {
    manifest = {
      ...manifest,
      date: new Date().toISOString(),
      packages: [...manifest.packages.filter(({ name }) => name !== part.name), part],
    };
    await writeManifest(folder, manifest);
    const stale = known
      .filter(({ name }) => name === part.name)
      .flatMap(({ files }) => Object.keys(files))
      .filter((file) => !(file in part.files));
    for (const file of stale) await rm(join(folder, file), { force: true });
  };
  const copied = !whole.some(({ name }) => name === 'onnxruntime-node');
  if (copied) await keep(await copyRuntime(machine, folder));
  for (const part of lacking) await keep(await fetched(part, options, commit));

  const looked = surveyCuda({
    ...machine,
    env: { ...machine.env, SEGR1_CUDA: [folder, machine.env['SEGR1_CUDA'] ?? ''].join(delimiter) },
  });
  return {
    folder,
    manifest,
    fetched: [...(copied ? ['onnxruntime-node'] : []), ...lacking.map(({ name }) => name)],
    missing: looked.missing,
  };
}

/** Packages whose files all match the manifest. */
async function wholePackages(
  known: readonly Package[],
  folder: string,
  report: (line: string) => void,
): Promise<readonly Package[]> {
  const whole: Package[] = [];
  for (const part of known) {
    const fault = await firstFault(folder, part.files);
    if (fault === undefined) whole.push(part);
    else report(`${part.name} ${part.version}  ${fault}`);
  }
  return whole;
}

/** @throws {UsageError} if only the system's libraries are wanted and one is missing there. */
function wantedLibraries({ machine, folder, libraries }: InstallOptions): readonly Part[] {
  if (libraries === 'wheels') return libraryParts();
  const missing = surveyCuda(machine, folder).missing.filter(({ piece }) => piece === 'libraries' || piece === 'cudnn');
  if (libraries === 'system' && missing.length > 0)
    throw new UsageError(missing.map(({ message }) => message).join('\n'));
  return libraryParts(missing.flatMap(({ names }) => names));
}

/**
 * A copy, not a link: the system's loader would take a link for the loaded library in `node_modules`, and the runtime
 * would look for the provider there.
 */
async function copyRuntime({ onnxruntime }: Machine, folder: string): Promise<Package> {
  const own = join(folder, `${FETCHING}${process.pid}`);
  const partial = join(own, RUNTIME);
  await mkdir(own, { recursive: true });
  try {
    await copyFile(join(onnxruntime.folder, RUNTIME), partial);
    const record = { bytes: (await stat(partial)).size, sha256: await sha256Of(partial) };
    await rename(partial, join(folder, RUNTIME));
    return { name: 'onnxruntime-node', version: onnxruntime.version, files: { [RUNTIME]: record } };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function fetched(part: Part, { machine, folder, pip, report }: InstallOptions, commit: string): Promise<Package> {
  const own = join(folder, `${FETCHING}${process.pid}`);
  try {
    report(`${part.requirement}  fetching about ${megabytes(part.room.wheel)}`);
    const wheel = await (await pip()).download(part.requirement, join(own, 'wheel'));
    const entries = await readWheel(wheel);
    const records = await readRecord(wheel, entries);
    const wanted = entries.flatMap((entry) => {
      const to = part.place(entry.name);
      return to === undefined ? [] : [{ entry, to }];
    });
    if (wanted.length === 0)
      throw new DataError(`${wheel}  expected shared libraries; got ${entries.length} files and none that is wanted`);
    report(
      `${part.requirement}  unpacking ${wanted.length} files, ${megabytes(wanted.reduce((sum, { entry }) => sum + entry.bytes, 0))}`,
    );
    const files: Record<string, FileRecord> = {};
    for (const { entry, to } of wanted)
      files[to] = await unpack(wheel, entry, records.get(entry.name), join(own, 'files', to));
    if (part.name === 'onnxruntime-gpu')
      await checkBuild(machine, { wheel, entries, records }, join(own, 'files'), commit);
    for (const { to } of wanted) {
      await mkdir(dirname(join(folder, to)), { recursive: true });
      await rename(join(own, 'files', to), join(folder, to));
    }
    return { ...nameOfWheel(wheel), name: part.name, files };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

/** @throws {DataError} if the provider is of another version, another commit or for another CUDA than is expected. */
async function checkBuild(
  { onnxruntime }: Machine,
  { wheel, entries, records }: { wheel: string; entries: readonly Entry[]; records: ReadonlyMap<string, FileRecord> },
  folder: string,
  commit: string,
): Promise<void> {
  const provider = join(folder, PROVIDER);
  for (const file of [PROVIDER, BRIDGE]) {
    if (!existsSync(join(folder, file))) throw new DataError(`${wheel}  expected ${file}; got a wheel without`);
  }
  const version = providerVersion(provider);
  if (version !== onnxruntime.version)
    throw new DataError(
      `${wheel}  ${PROVIDER}: expected version ${onnxruntime.version}, as onnxruntime-node; got ${version ?? 'another'}`,
    );
  if (!neededBy(provider)?.includes(`libcudart.so.${CUDA}`))
    throw new DataError(
      `${wheel}  ${PROVIDER}: expected one built for CUDA ${CUDA}; got one that needs ${neededBy(provider)?.join(', ') ?? 'nothing'}`,
    );

  const library = entries.find(({ name }) => /^onnxruntime\/capi\/libonnxruntime\.so\.[\d.]+$/.test(name));
  const beside = join(folder, 'beside');
  if (library) await unpack(wheel, library, records.get(library.name), beside);
  const built = library && commitOf(beside);
  await rm(beside, { force: true });
  if (built !== commit)
    throw new DataError(
      `${wheel}  expected a build of commit ${commit}, as onnxruntime-node; got ${built ?? 'one that does not say'}`,
    );
}

/**
 * @throws {UsageError} if the disk lacks room for the unpacked files and two copies of the largest wheel, which pip
 * makes temporarily.
 */
function enoughRoom(machine: Machine, folder: string, parts: readonly Part[]): void {
  const need =
    parts.reduce((sum, { room }) => sum + room.unpacked, 0) + 2 * Math.max(0, ...parts.map(({ room }) => room.wheel));
  const room = machine.room(folder);
  if (room < need)
    throw new UsageError(
      `${folder}  disk: expected ${megabytes(need)} free; got ${megabytes(room)}; way out: --dir DIR on another disk`,
    );
}

/** Removes leftovers of killed calls, but not of running ones. */
function dropLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, id] = /^\.fetching-(\d+)$/.exec(name) ?? [];
    if (id !== undefined && !runs(Number(id))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function runs(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
