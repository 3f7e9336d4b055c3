import {describe, expect, test} from 'vitest';

import {requireLate} from '../../../scripts/build/bundle/require-late.mjs';

/** Runs what TypeScript would write, with modules that say when they are loaded. */
function run(text: string): {exports: Record<string, unknown>; loaded: string[]} {
  const loaded: string[] = [];
  const exports: Record<string, unknown> = {};
  const load = (name: string): unknown => {
    loaded.push(name);
    return {
      __esModule: true,
      list: [1, 2],
      twice: (value: number) => value * 2,
      Made: class {
        readonly name = name;
      },
      Inner: {
        Made: class {
          readonly name = `inner ${name}`;
        },
      },
    };
  };
  const helpers = 'const __importStar = (module) => module, __importDefault = (module) => ({default: module});';
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call
  new Function('exports', 'require', `${helpers}\n${requireLate(text, 'test.js')}`)(exports, load);
  return {exports, loaded};
}

describe('requireLate', () => {
  test.each([
    ['a call', 'exports.use = () => (0, x_1.twice)(2);', 4],
    ['a spread', 'exports.use = () => [...x_1.list, 3];', [1, 2, 3]],
    ['a spread in an object', 'exports.use = () => ({...x_1.list});', {0: 1, 1: 2}],
    ['new', 'exports.use = () => new x_1.Made().name;', 'x'],
    ['new, deeper', 'exports.use = () => new x_1.Inner.Made().name;', 'inner x'],
    ['an argument', 'exports.use = () => __importDefault(x_1).default.twice(1);', 2],
  ])('requires at the first use: %s', (_, use, expected) => {
    const {exports, loaded} = run(`const x_1 = require("x");\n${use}`);
    expect(loaded).toEqual([]);
    const {use: call} = exports as {use: () => unknown};
    expect(call()).toEqual(expected);
    call();
    expect(loaded).toEqual(['x']);
  });

  test('requires at the first use what is passed on', () => {
    const {exports, loaded} = run('exports.Args = __importStar(require("./args"));');
    expect(loaded).toEqual([]);
    expect(exports['Args']).toHaveProperty('twice');
    expect(loaded).toEqual(['./args']);
  });

  test('leaves what it does not know', () => {
    const text = 'const {a} = require("a"); const b = require("b");';
    expect(requireLate(text, 'test.js')).toBe(text);
  });

  test.each([
    ['an assignment', 'x_1 = 1;'],
    ['another variable of that name', '(x_1) => x_1.list;'],
    ['a shorthand', 'exports.all = {x_1};'],
    ['the whole of it', 'exports.all = x_1;'],
    ['a property of that name', 'exports.all = {x_1: 1};'],
    ['a key', 'x_1["list"];'],
  ])('refuses a use that it does not know: %s', (_, use) => {
    expect(() => requireLate(`const x_1 = require("x");\n${use}`, 'test.js')).toThrow(/test\.js: x_1 is required late/);
  });
});
