/** The lock of a run's folder; scripts import it from here. */
export { lockRun } from './store/lock.js';
