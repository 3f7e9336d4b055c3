// The file of the live view. Its layout engine is compiled while Node.js goes on, so that it has to be waited for.
import {ready} from 'yoga-layout';

import {showScreen as show} from '../../../src/cli/watch/screen.js';

export async function showScreen(options) {
  await ready;
  return show(options);
}
