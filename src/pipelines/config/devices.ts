import { messageOf, UsageError } from '../../errors.js';
import { checkDevice, fastestDevice } from '../../models/device.js';
import type { Issue } from './issues.js';
import type { Settings } from '../settings.js';

const MODELS = ['policy', 'segmenter'] as const;

/** Settings with `auto` resolved, so a run records the device that it ran on. */
export function settleDevices(settings: Settings): Settings {
  // Finding a GPU takes up to two seconds, so it is done once for both models.
  let fastest: string | undefined;
  const settled = MODELS.flatMap((model) => {
    const options = settings[model];
    return options?.device === 'auto' ? [[model, { ...options, device: (fastest ??= fastestDevice()) }] as const] : [];
  });
  return { ...settings, ...Object.fromEntries(settled) };
}

/** Why the devices of the models cannot be used; nothing is opened. */
export function unusableDevices(settings: Settings, uses: (model: 'policy' | 'segmenter') => boolean): Issue[] {
  return MODELS.filter(uses).flatMap((model): Issue[] => {
    const options = settings[model];
    if (!options || typeof options.device !== 'string') return [];
    try {
      checkDevice(options.device);
      return [];
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return messageOf(error)
        .split('\n')
        .map((text) => ({ path: [model, 'device'], text: `${model}.device: ${text}` }));
    }
  });
}
