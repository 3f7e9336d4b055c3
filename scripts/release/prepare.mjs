// npm runs this before it links or packs a checkout. Both need dist, even if `npm ci` was never run.
import {build, installPackages} from '../setup.mjs';

installPackages();
build();
