import ts from 'typescript';

/** As tsc writes it: `require("x")`, or that in one of its helpers. */
const REQUIRED = /^(?:__import(?:Default|Star)\()?require\("[^"]+"\)\)?$/;
/** tsc gives such names to nothing else. */
const NAME = /^\w*_\d+$/;

/**
 * Makes a module compiled by tsc load other modules on first use: `const x_1 = require("x")` becomes a function that
 * requires it, and each use of x_1 a call of that function.
 *
 * @throws when x_1 is used in an unknown way
 */
export function requireLate(text, path) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  /** The texts to put between two offsets. */
  const edits = [];
  const names = new Set();
  for (const statement of source.statements) {
    const [name, value] = readRequire(statement);
    if (name === undefined) continue;
    edits.push([
      statement.getStart(),
      statement.end,
      NAME.test(name) ? lateName(name, value) : lateExport(name, value),
    ]);
    if (NAME.test(name)) names.add(name);
  }
  const visit = (node) => {
    if (node.parent === source && edits.some(([start]) => start === node.getStart())) return;
    if (ts.isIdentifier(node) && names.has(node.text)) edits.push(...useLate(node, path));
    ts.forEachChild(node, visit);
  };
  if (names.size > 0) visit(source);
  return edits
    .sort(([a, aEnd], [b, bEnd]) => b - a || bEnd - aEnd)
    .reduce((changed, [start, end, replaced]) => changed.slice(0, start) + replaced + changed.slice(end), text);
}

/** The name and the value of `const x_1 = require("x");` and of `exports.x = __importStar(require("x"));`. */
function readRequire(statement) {
  if (ts.isVariableStatement(statement)) {
    const [{name, initializer}, ...others] = statement.declarationList.declarations;
    if (others.length > 0 || !NAME.test(name.getText()) || !REQUIRED.test(initializer?.getText() ?? '')) return [];
    return [name.getText(), initializer.getText()];
  }
  const [, name, value] = /^exports\.(\w+) = (__importStar\(.*\));$/.exec(statement.getText()) ?? [];
  return REQUIRED.test(value ?? '') ? [name, value] : [];
}

function lateName(name, value) {
  return `let ${name}$; function ${name}() { return (${name}$ ??= ${value}); }`;
}

function lateExport(name, value) {
  return (
    `let ${name}$; Object.defineProperty(exports, "${name}", ` +
    `{enumerable: true, get: () => (${name}$ ??= ${value})});`
  );
}

function useLate(node, path) {
  const {parent} = node;
  const isObject = ts.isPropertyAccessExpression(parent) && parent.expression === node;
  if (!isObject && !(ts.isCallExpression(parent) && parent.arguments.includes(node))) {
    throw new Error(`${path}: ${node.text} is required late, which this use does not allow: ${parent.getText()}`);
  }
  const call = [node.end, node.end, '()'];
  let made = node;
  while (ts.isPropertyAccessExpression(made.parent) && made.parent.expression === made) made = made.parent;
  if (!ts.isNewExpression(made.parent) || made.parent.expression !== made) return [call];
  // Otherwise the called function would be the constructor.
  return [[made.getStart(), made.getStart(), '('], call, [made.end, made.end, ')']];
}
