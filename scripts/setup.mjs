// Prepares a checkout for running: npm packages, a build, and system programs. Synchronous, and silent except for one
// line a step. It uses only Node's own modules, since a fresh machine has nothing else.
import {spawnSync} from 'node:child_process';
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Large packages that most runs don't need: each has a file of its own in the bundle. */
export const SEPARATE = ['cli-progress', 'table', 'yaml'];
/** The JSON Schema of the files of export-budgets. */
export const BUDGETS_SCHEMA = 'budgets.schema.json';
/** The screen of the live view with the library that it needs: a file of its own for the same reason. */
export const SCREEN = 'watch-screen';
/** What answers a TAB: the words of a command line, and what only Redis or a file knows. */
export const COMPLETION = ['complete', 'complete-finders'];
/** The files of the bundle. Each start loads the first one: see scripts/build/bundle/chunks.mjs. */
export const CHUNKS = ['tokengate', 'help', 'many', 'contexts', 'rest'];
const DIST_FILES = [
  ...[...CHUNKS, ...COMPLETION, SCREEN, ...SEPARATE].map((name) => join('dist', `${name}.cjs`)),
  join('dist', BUDGETS_SCHEMA),
  join('dist', 'tokengate.1'),
];

const OWN_MANIFEST = join('build', 'own.manifest.json');

/** Any one of the names will do. `package` names a package that contains the program. */
const PROGRAMS = {
  redis: {
    names: ['redis-server', 'valkey-server'],
    packages: {'apt-get': 'redis-server', dnf: 'redis', apk: 'redis', pacman: 'valkey', brew: 'redis'},
  },
  openssl: {
    names: ['openssl'],
    packages: {'apt-get': 'openssl', dnf: 'openssl', apk: 'openssl', pacman: 'openssl', brew: 'openssl'},
  },
  jq: {
    names: ['jq'],
    packages: {'apt-get': 'jq', dnf: 'jq', apk: 'jq', pacman: 'jq', brew: 'jq'},
  },
  python: {
    names: ['python3'],
    packages: {'apt-get': 'python3', dnf: 'python3', apk: 'python3', pacman: 'python', brew: 'python3'},
  },
  zsh: sameEverywhere('zsh'),
  fish: sameEverywhere('fish'),
  luacheck: {
    names: ['luacheck'],
    packages: {'apt-get': 'lua-check', dnf: 'luacheck', apk: 'luacheck', pacman: 'luacheck', brew: 'luacheck'},
  },
  promtool: {
    names: ['promtool'],
    packages: {
      'apt-get': 'prometheus',
      dnf: 'golang-github-prometheus',
      apk: 'prometheus',
      pacman: 'prometheus',
      brew: 'prometheus',
    },
  },
  chromium: {
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    packages: {'apt-get': 'chromium', dnf: 'chromium', apk: 'chromium', pacman: 'chromium', brew: 'chromium'},
  },
  script: {
    names: ['script'],
    packages: {
      'apt-get': 'bsdutils',
      dnf: 'util-linux',
      apk: 'util-linux-misc',
      pacman: 'util-linux',
      brew: 'util-linux',
    },
  },
};

function sameEverywhere(name) {
  const managers = ['apt-get', 'dnf', 'apk', 'pacman', 'brew'];
  return {names: [name], packages: Object.fromEntries(managers.map((manager) => [manager, name]))};
}

/** Like PROGRAMS, but a single program of a large package is unpacked into node_modules, without being root. */
const UNPACKED = {promtool: {package: 'prometheus', path: 'usr/bin/promtool'}};

const MANAGERS = [
  // The time limit waits for another apt-get.
  {
    name: 'apt-get',
    install: ['install', '-qy', '--no-install-recommends', '-oDPkg::Lock::Timeout=120'],
    refresh: ['update', '-q'],
  },
  {name: 'dnf', install: ['install', '-qy']},
  {name: 'apk', install: ['add', '-q'], refresh: ['update', '-q']},
  {name: 'pacman', install: ['-S', '--noconfirm', '--needed'], refresh: ['-Sy']},
  {name: 'brew', install: ['install', '-q']},
];

/** Installs the npm packages of package-lock.json unless they are there already. */
export function installPackages() {
  if (hasPackages()) return;
  step('Installing the npm packages');
  // The scripts of the packages only speed things up; our own would build, which may not be wanted.
  const options = ['--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const {status, output} = npm('ci', ...options);
  if (status !== 0) stop(`${output}\nThe npm packages could not be installed: run \`npm ci\` and fix what it reports.`);
}

/** Builds unless the build is newer than the sources. */
export function build() {
  if (isBuilt()) return;
  step('Building');
  const {status, output} = npm('run', '--silent', 'build');
  if (status !== 0) stop(`${output}\nThe build failed: fix the errors above.`);
}

/** Packs the checkout and installs it below a folder, like `npm install --global`; returns the path of the program. */
export function installPacked(folder) {
  const {name, version} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  step('Packing and installing');
  const packed = npm('pack', '--silent', '--pack-destination', folder);
  if (packed.status !== 0) stop(`${packed.output}\nThe package could not be packed: fix the errors above.`);
  const archive = join(folder, `${name}-${version}.tgz`);
  const installed = npm('install', '--global', '--silent', '--omit=dev', '--prefix', folder, archive);
  if (installed.status !== 0) stop(`${installed.output}\nThe package could not be installed.`);
  return join(folder, 'bin', name);
}

/** Installs missing PROGRAMS, if that needs no password, and returns the path of each. */
export function provide(...wanted) {
  for (const name of wanted) if (findProgram(name) === undefined && name in UNPACKED) unpack(name);
  const missing = wanted.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) installPrograms(missing);
  return wanted.map(findProgram);
}

function hasPackages() {
  const wanted = lockedPackages('package-lock.json');
  const present = lockedPackages('node_modules/.package-lock.json');
  // An optional package is present on one system and absent on another.
  const isOptional = ({optional, devOptional}) => optional || devOptional;
  return (
    Object.entries(wanted).every(([path, entry]) => {
      const found = present[path];
      return found === undefined ? isOptional(entry) : found.version === entry.version;
    }) && Object.entries(present).every(([path, entry]) => path in wanted || isOptional(entry))
  );
}

/** By the folder of each; none when there is no such lock. */
function lockedPackages(lock) {
  const path = join(ROOT, lock);
  if (!existsSync(path)) return {};
  const {packages} = JSON.parse(readFileSync(path, 'utf8'));
  return Object.fromEntries(Object.entries(packages).filter(([folder]) => folder !== ''));
}

/** The build writes build, then the manifest, then dist: a failed build does not count as one. */
function isBuilt() {
  const recipe = [
    'package.json',
    'tsconfig.json',
    'scripts/build/man.mjs',
    'scripts/build/lua.mjs',
    'scripts/build/transpile.mjs',
    ...filesUnder('lua'),
    'scripts/check/loaded.json',
    ...filesUnder('scripts/build/bundle'),
  ];
  const steps = [
    [...sourceFiles(), ...recipe],
    sourceFiles().map(builtFile),
    ['oclif.manifest.json', OWN_MANIFEST],
    DIST_FILES,
  ];
  if (!steps.flat().every((file) => existsSync(join(ROOT, file)))) return false;
  const times = steps.map((files) => files.map((file) => statSync(join(ROOT, file)).mtimeMs));
  const isInOrder = times.every((step, index) => index === 0 || Math.max(...times[index - 1]) <= Math.min(...step));
  return isInOrder && strayFiles().length === 0;
}

/** Files in build or dist whose sources are gone: a removed command would still be found there. */
export function strayFiles() {
  const built = new Set([...sourceFiles().map(builtFile), OWN_MANIFEST, ...DIST_FILES]);
  return [...filesUnder('build'), ...filesUnder('dist')].filter((file) => !built.has(file));
}

/** What the build compiles. */
export function sourceFiles() {
  return filesUnder('src').filter((file) => /\.tsx?$/.test(file));
}

function builtFile(source) {
  return source.replace(/^src/, 'build').replace(/tsx?$/, 'js');
}

/** Paths from the project's folder. */
function filesUnder(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), {recursive: true})
    .map((path) => join(folder, path))
    .filter((path) => statSync(join(ROOT, path)).isFile());
}

function findProgram(program) {
  const [found] = PROGRAMS[program].names.map(findOnPath).filter((path) => path !== undefined);
  const unpacked = join(ROOT, 'node_modules/.bin', program);
  return found ?? (program in UNPACKED && isExecutable(unpacked) ? unpacked : undefined);
}

function findOnPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** With apt-get; otherwise the package is installed as any other. */
function unpack(name) {
  if (findOnPath('apt-get') === undefined || findOnPath('dpkg-deb') === undefined) return;
  const {package: source, path} = UNPACKED[name];
  step(`Fetching ${name} from the package ${source}`);
  const folder = mkdtempSync(join(tmpdir(), 'tokengate-setup-'));
  try {
    const fetch = () => run('apt-get', ['download', '-q', source], {cwd: folder}).status === 0;
    if (!fetch() && !(run('apt-get', ['update', '-q']).status === 0 && fetch())) return;
    const [file] = readdirSync(folder).filter((entry) => entry.endsWith('.deb'));
    if (file === undefined || run('dpkg-deb', ['-x', file, '.'], {cwd: folder}).status !== 0) return;
    copyFileSync(join(folder, path), join(ROOT, 'node_modules/.bin', name));
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}

function installPrograms(missing) {
  const names = missing.map((program) => PROGRAMS[program].names.join(' or ')).join(', ');
  const manager = MANAGERS.find(({name}) => findOnPath(name) !== undefined);
  if (manager === undefined)
    stop(`Not found: ${names}. Install what is missing so that it is on PATH, then try again.`);

  const packages = missing.map((program) => PROGRAMS[program].packages[manager.name]);
  const isRoot = process.getuid?.() === 0;
  const needsRoot = manager.name !== 'brew' && !isRoot;
  const advice = `${needsRoot ? 'sudo ' : ''}${manager.name} ${manager.install[0]} ${packages.join(' ')}`;
  if (needsRoot && run('sudo', ['-n', 'true']).status !== 0) {
    stop(`Not found: ${names}. Run \`${advice}\`, then try again.`);
  }

  step(`Installing ${packages.join(', ')} with ${manager.name}`);
  const sudo = needsRoot ? ['sudo', '-n'] : [];
  // RUNLEVEL=1: Debian starts a service right after installing it, but not in single-user mode.
  const manage = (args) =>
    runLine([...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', manager.name, ...args]);
  const install = () => manage([...manager.install, ...packages]).status === 0;
  // The package list may be missing or old. It is fetched only on failure, because that takes long.
  const done = install() || (manager.refresh !== undefined && manage(manager.refresh).status === 0 && install());
  if (missing.includes('redis') && manager.name === 'apt-get' && existsSync('/run/systemd/system')) {
    // systemd ignores RUNLEVEL.
    runLine([...sudo, 'systemctl', 'disable', '--now', 'redis-server.service']);
  }
  if (!done || missing.some((program) => findProgram(program) === undefined)) {
    stop(`Not found: ${names}, and ${manager.name} could not install it. Run \`${advice}\`, then try again.`);
  }
}

function npm(...args) {
  const env = {...process.env};
  // Set when npm itself runs one of our scripts, and meant for that run.
  for (const name of ['global', 'location', 'dry_run']) delete env[`npm_config_${name}`];
  return run('npm', args, {env});
}

function runLine([file, ...args]) {
  return run(file, args);
}

function run(file, args, options = {}) {
  const {status, stdout, stderr} = spawnSync(file, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: Infinity,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  return {status, output: `${stdout ?? ''}${stderr ?? ''}`.trim()};
}

function step(text) {
  process.stderr.write(`${text} …\n`);
}

function stop(text) {
  process.stderr.write(`${text.trim()}\n`);
  process.exit(1);
}
