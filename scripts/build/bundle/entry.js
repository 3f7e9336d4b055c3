// What the bundle is made of. `main` runs the CLI; `commands` and `Help` are what package.json's "oclif" names, the
// commands for another oclif CLI too that has this package as a plugin.
import {Command, Plugin} from '@oclif/core';
import autocompleteManifest from '@oclif/plugin-autocomplete/oclif.manifest.json';
import autocompletePackage from '@oclif/plugin-autocomplete/package.json';

import manifest from '../../../oclif.manifest.json';
import {description, name, oclif, type, version} from '../../../package.json';
import {main as run} from '../../../src/cli/oclif/main.js';
import {commands, ownCommands} from 'tokengate:commands';
import ownManifest from 'tokengate:own-manifest';

export {commands};
export {Help} from 'tokengate:commands';
export {default as commandNotFound} from '../../../src/hooks/command-not-found.js';

/**
 * Runs the CLI. Its plugins are given to oclif ready made, in place of being found on disk at each start: reading and
 * sorting them takes as long as all that a short command does.
 */
export function main(root) {
  // Once it is loaded, oclif listens to stdout; `run` puts a listener of its own in that one's place.
  void Command.name;
  const findCommand = (id) => Promise.resolve(commands[id]);
  const self = describe({pjson: {description, name, oclif, type, version}, root, manifest, isRoot: true, findCommand});
  const findInstalled = installed(autocompletePackage.name, root);
  const autocomplete = describe({
    pjson: autocompletePackage,
    root,
    // The plugin completes no values, and has no fish: of its own commands the one that writes its files is left.
    manifest: {commands: {...autocompleteManifest.commands, ...ownManifest.commands}},
    isRoot: false,
    findCommand: async (id) => ownCommands[id] ?? findInstalled(id),
  });
  return run({root, plugins: new Map([self, autocomplete].map((plugin) => [plugin.name, plugin]))});
}

/** Finds a plugin's command where the plugin is installed. */
function installed(name, root) {
  return async (id) => {
    const plugin = new Plugin({name, root, type: 'core'});
    await plugin.load();
    return plugin.findCommand(id, {must: true});
  };
}

/** What oclif's `Plugin.load()` would find out about a package. */
function describe({pjson, root, manifest, isRoot, findCommand}) {
  const {name, version, type, oclif} = pjson;
  const ids = Object.keys(manifest.commands).sort();
  const plugin = {
    _base: '',
    alias: name,
    commandIDs: ids,
    commandsDir: undefined,
    hasManifest: true,
    hooks: {},
    isRoot,
    load: () => Promise.resolve(),
    moduleType: type === 'module' ? 'module' : 'commonjs',
    name,
    options: {root},
    pjson,
    root,
    topics: [],
    type: 'core',
    valid: true,
    version,
    async findCommand(id) {
      const command = await findCommand(id);
      // Where the plugin is installed, its own `findCommand` has done so.
      if (command !== undefined && command.plugin === undefined) Object.assign(command, {id, plugin});
      return command;
    },
  };
  plugin.commands = ids.map((id) => ({
    ...manifest.commands[id],
    load: () => plugin.findCommand(id),
    pluginAlias: name,
    pluginType: 'core',
  }));
  // Not in package.json: another oclif CLI that has this package as a plugin keeps its own say on unknown commands.
  if (isRoot) plugin.hooks.command_not_found = [{...oclif.commands, identifier: 'commandNotFound'}];
  return plugin;
}
