// The file of the live view. Its layout engine is compiled asynchronously, so callers have to wait for it.
import {ready} from 'yoga-layout';

import {showScreen as show} from '../../../src/cli/watch/screen.js';

export async function showScreen(options) {
  await ready;
  return show(options);
}
