import type {PeerCertificate} from 'node:tls';

import {TokengateError} from '../values/errors.js';
import {type FailureContext, oneLine, serverOf} from './failures.js';

const CA_HINT = 'Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).';
const CLIENT_HINT = 'Give one that it trusts with --tls-cert FILE and --tls-key FILE.';
const NO_TLS: [string, string] = [
  'it does not speak TLS',
  'If it is a plain port, use redis:// in place of rediss://.',
];

const BY_CODE: Record<string, [reason: string, hint: string]> = {
  CERT_HAS_EXPIRED: ["the server's certificate has expired", 'Renew it on the server.'],
  CERT_NOT_YET_VALID: ["the server's certificate is not valid yet", "Check this machine's clock."],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    "the server's certificate is self-signed",
    'If it is the right one, give it to --tls-ca.',
  ],
  SELF_SIGNED_CERT_IN_CHAIN: ["the server's certificate authority is not trusted", CA_HINT],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["the server's certificate authority is not known", CA_HINT],
  UNABLE_TO_GET_ISSUER_CERT: ["the server's certificate authority is not known", CA_HINT],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["the server's certificate authority is not known", CA_HINT],
  CERT_SIGNATURE_FAILURE: ["the server's certificate is not signed by that authority", CA_HINT],
  CERT_REVOKED: ["the server's certificate is revoked", 'Renew it on the server.'],
};

/** How OpenSSL names an alert from the server, or an answer that is not TLS. */
const BY_OPENSSL: [RegExp, [reason: string, hint: string]][] = [
  [/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/, ['the server wants a client certificate', CLIENT_HINT]],
  [/ALERT_UNKNOWN_CA/, ['the server does not know the authority of the client certificate', CLIENT_HINT]],
  [/ALERT_CERTIFICATE_EXPIRED/, ['the client certificate has expired', CLIENT_HINT]],
  [
    /ALERT_(BAD_|UNSUPPORTED_)?CERTIFICATE|ALERT_DECRYPT|ACCESS_DENIED/,
    ['the server refused the client certificate', CLIENT_HINT],
  ],
  [/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LAYER_FAILURE/, NO_TLS],
  [
    /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/,
    ['the server speaks no version of TLS that is in use', 'It has to know TLS 1.2 or 1.3.'],
  ],
];

/** Undefined when the failure has nothing to do with TLS. */
export function explainTls(error: unknown, context: FailureContext): TokengateError | undefined {
  if (!(error instanceof Error)) return undefined;
  const {code = ''} = error as NodeJS.ErrnoException;
  const fail = ([reason, hint]: [string, string]): TokengateError =>
    new TokengateError('REDIS_TLS_FAILED', `TLS to ${serverOf(context)} failed: ${reason}.`, {hint, cause: error});
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return fail(explainName(error));
  const known = BY_CODE[code] ?? BY_OPENSSL.find(([pattern]) => pattern.test(code))?.[1];
  if (known !== undefined) return fail(known);
  const isTls = /^ERR_(SSL|TLS|OSSL)_/.test(code) || code === 'EPROTO' || /\bSSL\b/.test(error.message);
  return isTls ? fail([oneLine(code || error.message), 'See the log of the server.']) : undefined;
}

function explainName(error: Error): [string, string] {
  const {host = '', cert} = error as {host?: string; cert?: PeerCertificate};
  const names = cert?.subjectaltname?.replace(/\b(DNS|IP Address):/g, '') ?? String(cert?.subject.CN ?? 'another name');
  return [
    `the server's certificate is for ${oneLine(names)}, not for ${host}`,
    'If it is the right server, give its name with --tls-server-name.',
  ];
}
