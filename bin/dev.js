#!/usr/bin/env node
// Runs the CLI from src, with no build before: for a debugger, and to try a change.
'use strict';

const {register} = require('node:module');
const {dirname} = require('node:path');
const {pathToFileURL} = require('node:url');

const {Plugin} = require('@oclif/core');

const pjson = require('../package.json');

async function run() {
  register('../scripts/dev/typescript.mjs', pathToFileURL(__filename));
  const {main} = await import('../src/cli/oclif/main.ts');
  const root = dirname(__dirname);
  const oclif = {
    ...pjson.oclif,
    helpClass: './src/cli/oclif/help.ts',
    hooks: {command_not_found: './src/hooks/command-not-found.ts'},
  };
  const load = async (name, folder) => {
    const own = {...pjson, name, oclif: {...oclif, commands: `./src/${folder}`}};
    // Without the manifest, which knows no command that is new.
    const plugin = new Plugin({root, pjson: own, type: 'core', isRoot: name === pjson.name, ignoreManifest: true});
    await plugin.load();
    return [name, plugin];
  };
  const plugins = await Promise.all([load(pjson.name, 'commands'), load('standalone', 'standalone-commands')]);
  await main({root, pjson: {...pjson, oclif}, plugins: new Map(plugins)});
}

void run();
