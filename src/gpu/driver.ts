import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';

import type { Machine } from './machine.js';
import type { Place } from './places.js';

/** NVIDIA's driver as this machine has it. */
export interface Driver {
  /** Absolute path of `libcuda.so.1`. */
  readonly library: string;
  /** Such as `580.65.06`; undefined if neither the library's name nor the kernel says. */
  readonly version: string | undefined;
}

/**
 * The oldest driver branch that runs what is built for a major version of CUDA. @see NVIDIA's guide "CUDA
 * Compatibility", minor versions
 */
const OLDEST: Readonly<Record<number, number>> = { 11: 450, 12: 525, 13: 580 };

/** The first `libcuda.so.1` among the places; the toolkit's stubs are not among them. */
export function findDriver(machine: Machine, where: Iterable<Place>): Driver | undefined {
  for (const { folder } of where) {
    const library = join(folder, 'libcuda.so.1');
    if (existsSync(library)) return { library, version: versionOf(library) ?? kernelVersion(machine) };
  }
  return undefined;
}

/** The oldest driver branch for CUDA `major`, if it is older than that; undefined if it is new enough or unknown. */
export function tooOld({ version }: Driver, major: number): number | undefined {
  const oldest = OLDEST[major];
  return oldest !== undefined && version !== undefined && Number.parseInt(version, 10) < oldest ? oldest : undefined;
}

/** Addresses of NVIDIA's display devices on the PCI bus, such as `0000:01:00.0`; none if the system doesn't say. */
export function pciCards(root: string): readonly string[] {
  const bus = join(root, 'sys/bus/pci/devices');
  const text = (card: string, name: string): string => readFileSync(join(bus, card, name), 'utf8').trim();
  try {
    return readdirSync(bus).filter(
      (card) => text(card, 'vendor') === '0x10de' && text(card, 'class').startsWith('0x03'),
    );
  } catch {
    return [];
  }
}

/** The library's real name ends in the driver's version, also for a forward-compatible one on an older kernel. */
function versionOf(library: string): string | undefined {
  return /^libcuda\.so\.(\d{3,}\.\d+(?:\.\d+)?)$/.exec(basename(realpathSync(library)))?.[1];
}

function kernelVersion({ root }: Machine): string | undefined {
  try {
    return /Kernel Module\D*\s(\d{3,}\.\d+(?:\.\d+)?)\s/.exec(
      readFileSync(join(root, 'proc/driver/nvidia/version'), 'utf8'),
    )?.[1];
  } catch {
    return undefined;
  }
}
