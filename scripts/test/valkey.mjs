// Runs the tests with Valkey in place of Redis: npm run test:valkey -- [test/binary/help.test.ts …]. Where there is no Valkey yet it
// is fetched from Debian's packages, with no need to be root, and unpacked into node_modules.
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {delimiter, join} from 'node:path';

import {installPackages, ROOT} from '../setup.mjs';

const FOLDER = join(ROOT, 'node_modules/.cache/valkey');
const BIN = join(FOLDER, 'bin');
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

installPackages();
if (run(join(BIN, 'redis-server'), ['--version']).status !== 0) fetchValkey();
process.stdout.write(run(join(BIN, 'redis-server'), ['--version']).stdout);
const {status} = spawnSync('npm', ['test', '--', ...process.argv.slice(2)], {
  cwd: ROOT,
  env: {...process.env, PATH: `${BIN}${delimiter}${process.env.PATH}`},
  stdio: 'inherit',
});
process.exitCode = status ?? 1;

/** Older releases of Debian have it in their backports, which few machines list: so apt gets lists of its own. */
function fetchValkey() {
  rmSync(FOLDER, {recursive: true, force: true});
  mkdirSync(join(FOLDER, 'lists/partial'), {recursive: true});
  mkdirSync(BIN);
  const targets = run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(REPO_URI) $(CODENAME)']).stdout ?? '';
  const [, site, release] = /^Debian (\S+) ([a-z]+)$/m.exec(targets) ?? [];
  if (site === undefined) stop('Debian is not among the package sources of this machine. Install Valkey yourself.');
  const sources = [release, `${release}-backports`].map((name) => `deb [signed-by=${KEYS}] ${site} ${name} main\n`);
  writeFileSync(join(FOLDER, 'sources.list'), sources.join(''));
  const places = {
    'Dir::Etc::SourceList': join(FOLDER, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': join(FOLDER, 'lists'),
    'Dir::Cache': FOLDER,
  };
  const apt = (...args) =>
    run('apt-get', ['-q', ...Object.entries(places).map(([name, path]) => `-o${name}=${path}`), ...args]);
  for (const words of [['update'], ['download', 'valkey-server', 'valkey-tools']]) {
    const {status, stderr} = apt(...words);
    if (status !== 0) stop(`${stderr}\nValkey could not be fetched.`);
  }
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.deb'))) run('dpkg-deb', ['-x', file, '.']);
  for (const name of ['server', 'cli']) symlinkSync(`../usr/bin/valkey-${name}`, join(BIN, `redis-${name}`));
  if (!existsSync(join(BIN, 'redis-server'))) stop('The packages of Valkey hold no server.');
}

function run(file, args) {
  return spawnSync(file, args, {cwd: existsSync(FOLDER) ? FOLDER : ROOT, encoding: 'utf8'});
}

function stop(text) {
  process.stderr.write(`${text.trim()}\n`);
  process.exit(1);
}
