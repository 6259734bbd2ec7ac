/** Everything that the command line is made of; loaded at once, by `loaded`. */
export { default as yargs } from 'yargs';
export { hideBin } from 'yargs/helpers';

export { codeVersion } from '../pipelines/store/checkpoint-state.js';
export { compareCommand } from './compare.js';
export { doctorCommand } from './doctor.js';
export { exportCommand } from './export.js';
export { gpuCommand } from './gpu.js';
export { modelsCommand } from './models.js';
export { pipelineCommand } from './pipeline.js';
export { prepareCommand } from './prepare.js';
export { refusal } from './refusal.js';
export { scoreCommand } from './score.js';
export { segmentCommand } from './segment.js';
export { stagesCommand } from './stages.js';
