// The contents of the bundle. `main` runs the CLI. package.json's "oclif" names `commands` and `Help`, also for another
// oclif CLI that has this package as a plugin.
import {Command, Plugin} from '@oclif/core';
import autocompletePackage from '@oclif/plugin-autocomplete/package.json';
import helpPackage from '@oclif/plugin-help/package.json';

import {description, name, oclif, type, version} from '../../../package.json';
import {main as run} from '../../../src/cli/oclif/main.js';
import {commands, ownCommands} from 'tokengate:commands';
import {listed, lookedAt, otherKeys, textOf} from 'tokengate:list';

export {commands};
export {Help} from 'tokengate:commands';
export {default as commandNotFound} from '../../../src/hooks/command-not-found.js';

/**
 * Runs the CLI. It hands oclif its plugins ready made: finding and sorting them at each start would take as long as a
 * short command.
 */
export function main(root) {
  // When oclif is loaded it listens to stdout; `run` replaces its listener.
  void Command.name;
  const findCommand = (id) => Promise.resolve(commands[id]);
  const self = describe({pjson: {description, name, oclif, type, version}, root, isRoot: true, findCommand});
  // The plugin's command is replaced by our own, which does not search the disk for the plugin.
  const findHelp = (id) => Promise.resolve(ownCommands[id]);
  const help = describe({pjson: helpPackage, root, isRoot: false, findCommand: findHelp});
  const findInstalled = installed(autocompletePackage.name, root);
  const autocomplete = describe({
    pjson: autocompletePackage,
    root,
    isRoot: false,
    // The plugin completes no values and does not know fish. Of its own commands only the one that writes its files is
    // used.
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

/** A command in oclif's list: it has what every start reads, and gets the rest from the manifest on demand. */
class ListedCommand {
  static {
    for (const key of [...lookedAt, ...otherKeys]) {
      Object.defineProperty(this.prototype, key, {
        get() {
          return (this[key] = lookedAt.includes(key) ? JSON.parse(this.#json)[key] : this.#read(key));
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

  #read(key) {
    const text = textOf(this.#key, key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  load() {
    return this.#plugin.findCommand(this.#key);
  }
}

/**
 * The command that is typed, unless its help is asked for. Then oclif needs no other: to enter all in its tables takes 7 of
 * the 165 million instructions of a start.
 */
function typedCommand() {
  const [id = '', ...words] = process.argv.slice(2);
  const isAlone = Object.hasOwn(commands, id) && !words.some((word) => word === '--help' || word === '-h');
  return isAlone ? id : undefined;
}

function* listCommands(plugin) {
  const row = listed[plugin.name];
  const only = typedCommand();
  for (let at = 0; at < row.length; at += 4) {
    if (only !== undefined && row[at] !== only) continue;
    yield new ListedCommand(row[at], row[at + 1], row[at + 2], row[at + 3], plugin);
  }
}

/** The facts that oclif's `Plugin.load()` would find out about a package. */
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
      // If the plugin is installed, its own `findCommand` has done this.
      if (command !== undefined && command.plugin === undefined) Object.assign(command, {id, plugin});
      return command;
    },
  };
  plugin.commands = [...listCommands(plugin)];
  plugin.commandIDs = plugin.commands.map(({id}) => id);
  // Not in package.json: another oclif CLI with this package as a plugin decides itself about unknown commands. This
  // hook would speak for all of them.
  if (isRoot) plugin.hooks.command_not_found = [{...oclif.commands, identifier: 'commandNotFound'}];
  return plugin;
}
