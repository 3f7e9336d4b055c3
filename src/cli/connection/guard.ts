import type {Context} from '../../lib/contexts/config.js';
import type {Consent, ServerInfo} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';

/**
 * Protects against unwanted changes: a context may be read-only, and a protected store or context asks for its name.
 */
export class Guard {
  /** Shared with the connections of the command. */
  readonly consent: Consent = {to: undefined};

  /** @param confirmed the value of `--confirm` */
  constructor(
    private readonly context: Context | undefined,
    private readonly confirmed: string | undefined,
  ) {}

  /** The reason why nothing may be changed; undefined if changes are allowed. */
  get readOnly(): TokengateError | undefined {
    if (this.context?.isReadOnly !== true) return undefined;
    return new TokengateError('CONTEXT_READ_ONLY', `The context '${this.context.name}' is read-only.`, {
      hint: 'Nothing was changed. Name another context, or take read-only out of the context file.',
    });
  }

  /** The name to ask for, as far as it is known before connecting. */
  get contextName(): string | undefined {
    return this.context?.isProtected === true ? this.context.name : undefined;
  }

  /** Whether a change asks for a name. */
  isProtected({store}: Pick<ServerInfo, 'store'>): boolean {
    return (store ?? this.contextName) !== undefined;
  }

  /** Carries out an earlier decision, for which nobody is asked. */
  exempt(): void {
    this.consent.to = true;
  }

  /**
   * The name that has to be typed before a change: of the store, or else of the context. Undefined when neither is
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
   * Accepts a typed name.
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
