export interface TokengateErrorOptions {
  /** What the user can do next, one sentence. */
  hint?: string | undefined;
  cause?: unknown;
}

/**
 * What a user can mend, as opposed to a bug. `message` and `hint` are one line each and may hold untrusted text: they are
 * made safe where they are shown, not here.
 */
export class TokengateError extends Error {
  /** A stable word for scripts, such as `SESSION_NOT_FOUND`. */
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: TokengateErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause});
    this.name = 'TokengateError';
    this.code = code;
    this.hint = options.hint;
  }
}
