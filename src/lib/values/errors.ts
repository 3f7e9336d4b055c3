export interface TokengateErrorOptions {
  /** One sentence about what the user can do next. */
  hint?: string | undefined;
  cause?: unknown;
}

/**
 * An error that the user can fix, as opposed to a bug. `message` and `hint` are one line each and may hold untrusted
 * text: escape them where they are shown.
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
