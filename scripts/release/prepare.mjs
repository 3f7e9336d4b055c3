// npm runs this before it links or packs a checkout: both need dist, whether or not `npm ci` has been run.
import {build, installPackages} from '../setup.mjs';

installPackages();
build();
