#!/usr/bin/env node
// Runs the CLI from src, with no build before: for a debugger, and to try a change. `autocomplete` is the plugin's there.
'use strict';

const {register} = require('node:module');
const {dirname} = require('node:path');
const {pathToFileURL} = require('node:url');

const pjson = require('../package.json');

const oclif = {
  ...pjson.oclif,
  commands: './src/commands',
  helpClass: './src/cli/oclif/help.ts',
  hooks: {command_not_found: './src/hooks/command-not-found.ts'},
};
register('../scripts/dev/typescript.mjs', pathToFileURL(__filename));
void import('../src/cli/oclif/main.ts').then(({main}) =>
  // The manifest knows no command that is new.
  main({root: dirname(__dirname), pjson: {...pjson, oclif}, ignoreManifest: true}),
);
