import type {Context} from '../../lib/contexts/config.js';
import type {Consent, ServerInfo} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';

/** What stands between a command and a change: a context that is read-only, and the names of what is protected. */
export class Guard {
  /** For the connections of the command. */
  readonly consent: Consent = {to: undefined};

  /** @param confirmed the name that `--confirm` gives */
  constructor(
    private readonly context: Context | undefined,
    private readonly confirmed: string | undefined,
  ) {}

  /** Why nothing may be changed; undefined when something may. */
  get readOnly(): TokengateError | undefined {
    if (this.context?.isReadOnly !== true) return undefined;
    return new TokengateError('CONTEXT_READ_ONLY', `The context '${this.context.name}' is read-only.`, {
      hint: 'Nothing was changed. Name another context, or take read-only out of the context file.',
    });
  }

  /** The name that is known to be asked for before anything is connected. */
  get contextName(): string | undefined {
    return this.context?.isProtected === true ? this.context.name : undefined;
  }

  /** Whether a change asks for a name. */
  isProtected({store}: Pick<ServerInfo, 'store'>): boolean {
    return (store ?? this.contextName) !== undefined;
  }

  /** What was decided before is carried out, and nobody is asked. */
  exempt(): void {
    this.consent.to = true;
  }

  /**
   * The name that has to be typed before a change: that of the store, or else of the context; undefined when neither is
   * protected, or the name was given already.
   *
   * @throws TokengateError WRONG_CONFIRMATION
   */
  nameToType({store}: ServerInfo): string | undefined {
    const {consent, context, confirmed} = this;
    if (consent.to === true) return undefined;
    // A name that could not be read is compared by the change itself.
    const called = store ?? context?.name ?? (store === null ? confirmed : undefined);
    if (confirmed !== undefined) this.agree(confirmed, called);
    const name = store ?? this.contextName;
    return consent.to === name ? undefined : name;
  }

  /**
   * Takes a name that was typed.
   *
   * @throws TokengateError WRONG_CONFIRMATION
   */
  agree(typed: string, name: string | undefined): void {
    if (typed !== name) throw wrongConfirmation(typed, name);
    this.consent.to = name;
  }
}

function wrongConfirmation(typed: string, name: string | undefined): TokengateError {
  const called = name === undefined ? 'has no name' : `is called '${name}'`;
  return new TokengateError('WRONG_CONFIRMATION', `'${typed}' is not the name of this server, which ${called}.`, {
    hint: 'Nothing was changed.',
  });
}
