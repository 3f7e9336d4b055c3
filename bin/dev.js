#!/usr/bin/env node
// Runs the CLI from build/, where tsc puts it file by file, in place of the bundle. `autocomplete` is the plugin's there.
'use strict';

const {dirname} = require('node:path');

const pjson = require('../package.json');

const oclif = {
  ...pjson.oclif,
  commands: './build/commands',
  helpClass: './build/cli/oclif/help.js',
  hooks: {command_not_found: './build/hooks/command-not-found.js'},
};
void import('../build/cli/oclif/main.js').then(({main}) => main({root: dirname(__dirname), pjson: {...pjson, oclif}}));
