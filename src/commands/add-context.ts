import {resolve} from 'node:path';

import {Args, Flags} from '@oclif/core';

import {namingVariables} from '../cli/connection/choice.js';
import {readContextFile, writeContextFile} from '../cli/connection/context-file.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag} from '../cli/oclif/flags.js';
import {type ContextJson, toContextJson} from '../cli/views/contexts.js';
import {COLORS} from '../lib/contexts/config.js';
import {addContext, type NewContext} from '../lib/contexts/edit.js';
import {TokengateError} from '../lib/values/errors.js';

interface Added extends ContextJson {
  file: string;
}

export default class AddContext extends BaseCommand<typeof AddContext> {
  static override summary = 'Give a server a name';
  static override description = `Adds a context to the context file (see list-contexts), with the --redis-url or --redis-url-file of this command line, and with --timeout, --tls-ca, --tls-cert, --tls-key and --tls-server-name where they are given. Comments and order of the file are kept. Only you can read a file with a password.

On a protected context every change asks you to type its name. A read-only context refuses changes.`;
  static group = 'Set-up';
  static override examples = [
    {
      description: 'Name the default server',
      command: '<%= config.bin %> <%= command.id %> staging --redis-url redis://staging-redis:6379 --default',
    },
    {
      description: 'Name production, and ask before every change of it',
      command: '<%= config.bin %> <%= command.id %> prod --redis-url-file /run/secrets/prod --protected --color red',
    },
  ];
  static related = ['list-contexts', 'remove-context', 'protect-store'];

  static override args = {
    name: Args.string({description: 'Name of the new context', ignoreStdin: true, required: true}),
  };
  static override flags = {
    default: Flags.boolean({description: 'Use it when nothing else names a server'}),
    protected: Flags.boolean({description: 'Ask for its name before every change'}),
    'read-only': Flags.boolean({description: 'Refuse changes'}),
    actor: Flags.string({description: 'Name for the journal of changes', helpValue: 'NAME'}),
    color: Flags.option({options: COLORS, description: 'Color of its name in the live view'})(),
    format: answerFormatFlag(),
  };

  protected override readonly isOffline = true;

  async run(): Promise<Added> {
    const {name} = this.args;
    const file = await readContextFile({isNew: true});
    const {text, config, context} = await addContext(file, {
      name,
      fields: this.readFields(),
      isDefault: this.flags.default,
    });
    await writeContextFile(file, {text, isSecret: config.isSecret});
    this.isChange = true;
    this.print(`✓ Context '${name}' added to ${file.path}`);
    const variables = this.flags.default ? namingVariables() : [];
    this.warnAll(variables.map((variable) => `${variable} is set, and wins over the default. Unset it.`));
    return {...toContextJson(context, config), file: file.path};
  }

  /** The typed values for the file. A relative path on a command line starts from the working directory. */
  private readFields(): NewContext {
    const {flags, typed} = this;
    if (typed.has('redis-url') === typed.has('redis-url-file') || typed.has('context')) {
      throw new TokengateError('INVALID_USAGE', 'Give either --redis-url or --redis-url-file.');
    }
    const {'read-only': isReadOnly, protected: isProtected, actor, color, timeout} = flags;
    const given = (['redis-url', 'redis-url-file', 'tls-ca', 'tls-cert', 'tls-key', 'tls-server-name'] as const).filter(
      (field) => typed.has(field),
    );
    const isText = (field: string): boolean => field === 'redis-url' || field === 'tls-server-name';
    return {
      ...Object.fromEntries(
        given.map((field) => [field, isText(field) ? (flags[field] ?? '') : resolve(flags[field] ?? '')]),
      ),
      ...(typed.has('timeout') && timeout !== undefined ? {timeout: Number(timeout)} : {}),
      ...(actor === undefined ? {} : {actor}),
      ...(color === undefined ? {} : {color}),
      ...(isProtected ? {protected: true} : {}),
      ...(isReadOnly ? {'read-only': true} : {}),
    };
  }
}
