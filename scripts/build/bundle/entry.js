// What the bundle is made of. `main` runs the CLI; `commands` and `Help` are what package.json's "oclif" names, the
// commands for another oclif CLI too that has this package as a plugin.
import {Command, Plugin} from '@oclif/core';
import autocompletePackage from '@oclif/plugin-autocomplete/package.json';
import helpPackage from '@oclif/plugin-help/package.json';

import {description, name, oclif, type, version} from '../../../package.json';
import {main as run} from '../../../src/cli/oclif/main.js';
import {commands, ownCommands} from 'tokengate:commands';
import {allOf, listed, lookedAt, otherKeys} from 'tokengate:list';

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
  const self = describe({pjson: {description, name, oclif, type, version}, root, isRoot: true, findCommand});
  // Its command is our own, which need not look for the plugin on disk.
  const findHelp = (id) => Promise.resolve(ownCommands[id]);
  const help = describe({pjson: helpPackage, root, isRoot: false, findCommand: findHelp});
  const findInstalled = installed(autocompletePackage.name, root);
  const autocomplete = describe({
    pjson: autocompletePackage,
    root,
    isRoot: false,
    // The plugin completes no values, and has no fish: of its own commands the one that writes its files is left.
    findCommand: async (id) => ownCommands[id] ?? findInstalled(id),
  });
  return run({root, plugins: new Map([self, help, autocomplete].map((plugin) => [plugin.name, plugin]))});
}

/** Finds a plugin's command where the plugin is installed. */
function installed(name, root) {
  return async (id) => {
    const plugin = new Plugin({name, root, type: 'core'});
    await plugin.load();
    return plugin.findCommand(id, {must: true});
  };
}

const NONE = [];

/** A command as oclif lists it: what every start looks at, and the rest of the manifest when it is asked for. */
class ListedCommand {
  static {
    for (const key of [...lookedAt, ...otherKeys]) {
      Object.defineProperty(this.prototype, key, {
        get() {
          const all = lookedAt.includes(key) ? JSON.parse(this.#json) : allOf(this.#key);
          return (this[key] = all[key]);
        },
        set(value) {
          Object.defineProperty(this, key, {value, configurable: true, enumerable: true, writable: true});
        },
      });
    }
  }

  /** The help writes an ID with spaces into `id`. */
  #key;
  #json;
  #plugin;
  aliases = NONE;
  hiddenAliases = NONE;
  pluginType = 'core';

  constructor(id, summary, hidden, json, plugin) {
    this.id = id;
    this.summary = summary;
    this.hidden = hidden;
    this.pluginAlias = plugin.name;
    this.pluginName = plugin.name;
    this.#key = id;
    this.#json = json;
    this.#plugin = plugin;
  }

  load() {
    return this.#plugin.findCommand(this.#key);
  }
}

function* listCommands(plugin) {
  const row = listed[plugin.name];
  for (let at = 0; at < row.length; at += 4) {
    yield new ListedCommand(row[at], row[at + 1], row[at + 2], row[at + 3], plugin);
  }
}

/** What oclif's `Plugin.load()` would find out about a package. */
function describe({pjson, root, isRoot, findCommand}) {
  const {name, version, type, oclif} = pjson;
  const plugin = {
    _base: '',
    alias: name,
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
  plugin.commands = [...listCommands(plugin)];
  plugin.commandIDs = plugin.commands.map(({id}) => id);
  // Not in package.json: another oclif CLI that has this package as a plugin keeps its own say on unknown commands.
  if (isRoot) plugin.hooks.command_not_found = [{...oclif.commands, identifier: 'commandNotFound'}];
  return plugin;
}
