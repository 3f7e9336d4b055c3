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

  const authority = lazy(() => selfSign('ca'));
  const otherAuthority = lazy(() => selfSign('other-ca'));
  const server = lazy(() => sign('server', authority(), names));
  const expired = lazy(() => sign('expired', authority(), 'IP:127.0.0.1', '-days', '-1'));
  const otherHost = lazy(() => sign('other-host', authority(), 'DNS:redis.example'));
  const selfSigned = lazy(() => selfSign('self-signed', '-addext', 'subjectAltName=IP:127.0.0.1'));
  const client = lazy(() => sign('client', authority(), 'DNS:client'));
  const expiredClient = lazy(() => sign('expired-client', authority(), 'DNS:client', '-days', '-1'));
  const strangeClient = lazy(() => sign('strange-client', otherAuthority(), 'DNS:client'));
  const lockedKey = lazy(() => {
    openssl('pkey', '-in', client().key, '-aes256', '-passout', 'pass:x', '-out', file('locked.key'));
    return file('locked.key');
  });
  const both = lazy(() => {
    writeFileSync(file('both.pem'), openssl('x509', '-in', client().cert) + openssl('pkey', '-in', client().key));
    return file('both.pem');
  });
  return {
    folder,
    get ca() {
      return authority().cert;
    },
    get otherCa() {
      return otherAuthority().cert;
    },
    get server() {
      return server();
    },
    get expired() {
      return expired();
    },
    get otherHost() {
      return otherHost();
    },
    get selfSigned() {
      return selfSigned();
    },
    get client() {
      return client();
    },
    get expiredClient() {
      return expiredClient();
    },
    get strangeClient() {
      return strangeClient();
    },
    get lockedKey() {
      return lockedKey();
    },
    get both() {
      return both();
    },
    remove: () => rm(folder, {recursive: true, force: true}),
  };
}

function lazy<Made>(make: () => Made): () => Made {
  let made: Made | undefined;
  return () => (made ??= make());
}
