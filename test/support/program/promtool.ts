import {ROOT} from '../root.js';
import {type Output, runProcess} from './run.js';

/** Runs Prometheus's own checks. `npm test` fetches the program if it is missing. */
export function promtool(args: string[], input = ''): Promise<Output> {
  return runProcess('promtool', args, {
    input,
    env: {PATH: `${process.env['PATH'] ?? ''}:${ROOT}node_modules/.bin`},
  });
}
