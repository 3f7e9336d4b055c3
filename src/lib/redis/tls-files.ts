import {X509Certificate, createPrivateKey, type KeyObject} from 'node:crypto';
import {readFile, stat} from 'node:fs/promises';
import {isIP} from 'node:net';
import {checkServerIdentity, type ConnectionOptions, type PeerCertificate} from 'node:tls';

import {TokengateError} from '../values/errors.js';
import type {Endpoint, TlsSettings} from './url.js';

/** Four times the size of a bundle of all public authorities. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads the files that TLS needs and checks that they are what they should be.
 *
 * @throws TokengateError INVALID_TLS_FILE
 */
export async function readTlsOptions(
  {verify, checkName, caFile, certFile, keyFile, serverName}: TlsSettings,
  endpoint: Endpoint,
): Promise<ConnectionOptions> {
  const name = serverName ?? ('host' in endpoint ? endpoint.host : '');
  const ca = caFile === undefined ? undefined : await readCertificates(caFile, 'authority');
  const client = certFile === undefined ? undefined : await readClient(certFile, keyFile);
  return {
    rejectUnauthorized: verify,
    // TLS takes no IP address as a server name.
    ...(isIP(name) === 0 ? {servername: name} : {}),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      checkName ? checkServerIdentity(name, certificate) : undefined,
    ...(ca === undefined ? {} : {ca}),
    ...client,
  };
}

async function readClient(certFile: string, keyFile = certFile): Promise<{cert: string; key: string}> {
  const cert = await readCertificates(certFile, 'client certificate');
  const key = await readPem(keyFile, 'key');
  const privateKey = parseKey(key, keyFile);
  if (!new X509Certificate(cert).checkPrivateKey(privateKey)) {
    throw new TokengateError('INVALID_TLS_FILE', `The key '${keyFile}' is not that of the client certificate.`, {
      hint: `It has to belong to '${certFile}'.`,
    });
  }
  return {cert, key};
}

async function readCertificates(file: string, what: string): Promise<string> {
  const pem = await readPem(file, what);
  try {
    new X509Certificate(pem);
  } catch {
    throw invalidFile(file, what, 'holds no certificate in PEM form', 'It begins with -----BEGIN CERTIFICATE-----.');
  }
  return pem;
}

function parseKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    const isLocked = pem.includes('ENCRYPTED');
    throw isLocked
      ? invalidFile(file, 'key', 'is locked with a passphrase', 'Unlock a copy: openssl pkey -in KEY -out COPY')
      : invalidFile(file, 'key', 'holds no private key in PEM form', 'Give its file with --tls-key.');
  }
}

async function readPem(file: string, what: string): Promise<string> {
  const why: Record<string, string> = {ENOENT: 'does not exist', EACCES: 'may not be read', ENOTDIR: 'does not exist'};
  const refuse = (error: unknown): never => {
    throw invalidFile(file, what, why[String((error as NodeJS.ErrnoException).code)] ?? 'cannot be read');
  };
  const stats = await stat(file).catch(refuse);
  if (!stats.isFile()) throw invalidFile(file, what, 'is not a file');
  if (stats.size > MAX_FILE_BYTES) throw invalidFile(file, what, 'is larger than 1 MiB');
  return readFile(file, 'utf8').catch(refuse);
}

function invalidFile(file: string, what: string, why: string, hint?: string): TokengateError {
  return new TokengateError('INVALID_TLS_FILE', `The TLS ${what} file '${file}' ${why}.`, {hint});
}
