import {execFileSync} from 'node:child_process';
import {mkdtempSync, writeFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export interface Certificates {
  readonly folder: string;
  /** Paths of PEM files. */
  readonly ca: string;
  /** An authority that has signed none of the other certificates. */
  readonly otherCa: string;
  /** For a server at 127.0.0.1, unless other names were given. */
  readonly server: KeyPair;
  readonly expired: KeyPair;
  /** For redis.example. */
  readonly otherHost: KeyPair;
  /** Signed by itself. */
  readonly selfSigned: KeyPair;
  readonly client: KeyPair;
  readonly expiredClient: KeyPair;
  /** Signed by the other authority. */
  readonly strangeClient: KeyPair;
  /** The client's key, locked with a passphrase. */
  readonly lockedKey: string;
  /** The client's certificate and key in one file. */
  readonly both: string;
  remove(): Promise<void>;
}

export interface KeyPair {
  cert: string;
  key: string;
}

/**
 * Makes certificates of every kind with openssl, in a folder of their own. `names` are the names of `server`. Each is made
 * when it is asked for: all of them are 18 runs of openssl, of which most tests need 4.
 */
export function makeCertificates({names = 'IP:127.0.0.1,DNS:localhost'} = {}): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'tokengate-tls-'));
  const file = (name: string): string => join(folder, name);
  const openssl = (...argv: string[]): string =>
    execFileSync('openssl', argv, {cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8'});
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

  const selfSign = (name: string, ...more: string[]): KeyPair => {
    const pair = {cert: file(`${name}.crt`), key: file(`${name}.key`)};
    openssl('req', '-x509', ...newKey, '-keyout', pair.key, '-out', pair.cert, '-subj', `/CN=${name}`, ...more);
    return pair;
  };
  const sign = (name: string, authority: KeyPair, alternatives: string, ...days: string[]): KeyPair => {
    const pair = {cert: file(`${name}.crt`), key: file(`${name}.key`)};
    const request = file(`${name}.csr`);
    openssl('req', ...newKey, '-keyout', pair.key, '-out', request, '-subj', `/CN=${name}`);
    writeFileSync(file('extensions'), `subjectAltName=${alternatives}\n`);
    const [by, validity] = [['-CA', authority.cert, '-CAkey', authority.key], days.length > 0 ? days : ['-days', '30']];
    openssl('x509', '-req', '-in', request, ...by, ...validity, '-extfile', file('extensions'), '-out', pair.cert);
    return pair;
  };

  const own: Certificates & {authority: KeyPair; otherAuthority: KeyPair} = lazily({
    folder: () => folder,
    authority: () => selfSign('ca'),
    otherAuthority: () => selfSign('other-ca'),
    ca: () => own.authority.cert,
    otherCa: () => own.otherAuthority.cert,
    server: () => sign('server', own.authority, names),
    expired: () => sign('expired', own.authority, 'IP:127.0.0.1', '-days', '-1'),
    otherHost: () => sign('other-host', own.authority, 'DNS:redis.example'),
    selfSigned: () => selfSign('self-signed', '-addext', 'subjectAltName=IP:127.0.0.1'),
    client: () => sign('client', own.authority, 'DNS:client'),
    expiredClient: () => sign('expired-client', own.authority, 'DNS:client', '-days', '-1'),
    strangeClient: () => sign('strange-client', own.otherAuthority, 'DNS:client'),
    lockedKey() {
      openssl('pkey', '-in', own.client.key, '-aes256', '-passout', 'pass:x', '-out', file('locked.key'));
      return file('locked.key');
    },
    both() {
      writeFileSync(file('both.pem'), openssl('x509', '-in', own.client.cert) + openssl('pkey', '-in', own.client.key));
      return file('both.pem');
    },
    remove: () => () => rm(folder, {recursive: true, force: true}),
  });
  return own;
}

/** An object whose properties are made when they are asked for, each once. */
function lazily<Made extends object>(makers: {[Key in keyof Made]: () => Made[Key]}): Made {
  const own = {} as Made;
  for (const key of Object.keys(makers) as (keyof Made)[]) {
    Object.defineProperty(own, key, {
      configurable: true,
      enumerable: true,
      get() {
        const value = makers[key]();
        Object.defineProperty(own, key, {value, enumerable: true});
        return value;
      },
    });
  }
  return own;
}
