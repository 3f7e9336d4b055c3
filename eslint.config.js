import js from '@eslint/js';
import importX, {createNodeResolver} from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const onlyImporter = (name, file) => ({name, message: `Only ${file} imports ${name}.`});
const OCLIF = {regex: '^@oclif/', message: 'src/lib knows no oclif.'};
const TERMINAL_PACKAGES = [
  onlyImporter('table', 'src/cli/text/table.ts'),
  onlyImporter('ink', 'src/cli/watch/screen.tsx'),
  onlyImporter('react', 'src/cli/watch/screen.tsx'),
];
const REDIS = onlyImporter('redis', 'src/lib/redis/contract.ts and node.ts');

/** From the ground up: a room imports from the rooms below it, and from those beside it that BESIDE names. */
const FLOORS = {
  'src/lib': [
    ['values', 'lua'],
    ['redis'],
    ['gateway', 'contexts'],
    ['periods'],
    ['journal', 'sessions', 'completion'],
    ['budget-files'],
    ['change', 'watch', 'monitoring', 'spending'],
    ['operations', 'audit'],
  ],
  'src/cli': [
    ['text'],
    ['terminal'],
    ['connection', 'copyable'],
    ['views', 'reports'],
    ['batches'],
    ['alerts', 'completion', 'watch'],
    ['oclif'],
  ],
};

const rooms = Object.entries(FLOORS).flatMap(([folder, floors]) =>
  floors.flatMap((floor, index) =>
    floor.flatMap((room) => {
      const above = [...floors.slice(index + 1).flat(), ...floor.filter((other) => other !== room)];
      return above.map((other) => ({
        target: `./${folder}/${room}`,
        from: `./${folder}/${other}`,
        message: `${room} is not above ${other}: see FLOORS in eslint.config.js.`,
      }));
    }),
  ),
);

/** Flat config replaces a rule's options whole, so each folder states all of its own. */
const restrictedImports = (files, paths, patterns, ignores = []) => ({
  files,
  ignores,
  rules: {'no-restricted-imports': ['error', {paths, patterns}]},
});

export default tseslint.config(
  {ignores: ['.stryker-tmp/', 'build/', 'dist/', 'node_modules/', 'reports/']},
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    plugins: {'import-x': importX},
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({extensionAlias: {'.js': ['.ts', '.tsx', '.js']}, extensions: ['.ts', '.tsx', '.js']}),
      ],
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true}],
      'import-x/no-restricted-paths': [
        'error',
        {
          zones: [
            {target: './src/lib', from: './src/cli', message: 'lib knows no terminal.'},
            ...['commands', 'standalone-commands', 'hooks'].flatMap((folder) => [
              {target: './src/lib', from: `./src/${folder}`, message: 'lib does not know the commands.'},
              {target: './src/cli', from: `./src/${folder}`, message: 'cli does not know the commands.'},
            ]),
            ...rooms,
          ],
        },
      ],
      'import-x/order': ['error', {alphabetize: {order: 'asc'}, 'newlines-between': 'ignore'}],
      'no-console': 'error',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: {
        console: 'readonly',
        process: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        Buffer: 'readonly',
        performance: 'readonly',
      },
    },
  },
  {
    files: ['bin/*.js', '**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: {
        __dirname: 'readonly',
        __filename: 'readonly',
        exports: 'writable',
        module: 'writable',
        require: 'readonly',
      },
    },
  },
  // Imports go one way: commands and hooks → cli → lib → node, redis.
  restrictedImports(
    ['src/commands/**', 'src/hooks/**'],
    [REDIS, ...TERMINAL_PACKAGES],
    [{group: ['../commands/*', './*'], message: 'Commands do not import each other.'}],
  ),
  restrictedImports(
    ['src/cli/**'],
    [REDIS, ...TERMINAL_PACKAGES],
    [],
    ['src/cli/terminal/prompts.ts', 'src/cli/text/table.ts', 'src/cli/watch/screen.tsx'],
  ),
  restrictedImports(
    ['src/lib/**'],
    [REDIS, ...TERMINAL_PACKAGES],
    [OCLIF],
    ['src/lib/redis/contract.ts', 'src/lib/redis/node.ts'],
  ),
  {
    files: ['src/**'],
    ignores: ['src/cli/terminal/exit-code.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {object: 'process', property: 'exitCode', message: 'Only src/cli/terminal/exit-code.ts sets the exit code.'},
      ],
    },
  },
  {
    files: ['src/lib/**'],
    rules: {'no-restricted-globals': ['error', 'process', 'console']},
  },
  {
    files: ['src/commands/**'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'console'],
      'no-restricted-syntax': [
        'error',
        {selector: 'TryStatement', message: 'BaseCommand turns failures into messages and exit codes.'},
      ],
    },
  },
  {
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
);
