// Describes what a command returns, from the type of its run(), in the terms of json-documents.mjs. The comment of a field is
// its meaning; @integer says that a number is a count.
import {fileURLToPath} from 'node:url';

import ts from 'typescript';

import {listOf, mapOf, nullable, oneOf} from './json-documents.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Types of ours that JSON shows as something simple. */
const NAMED = {Date: 'time', Decimal: 'amount'};

/** What a command returns, by the path of its file; undefined if it returns nothing. */
export function describeResult(path) {
  const config = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config;
  const {options} = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([path], options);
  const checker = program.getTypeChecker();
  const result = resultOf(program.getSourceFile(path), checker);
  return result === undefined ? undefined : {documents: [{is: describe(result, checker)}]};
}

function resultOf(file, checker) {
  const command = file.statements.find(ts.isClassDeclaration);
  const run = command?.members.find((member) => ts.isMethodDeclaration(member) && member.name.getText() === 'run');
  if (run === undefined) return undefined;
  const promised = checker.getAwaitedType(checker.getSignatureFromDeclaration(run).getReturnType());
  return promised.flags & (ts.TypeFlags.Void | ts.TypeFlags.Undefined) ? undefined : promised;
}

/** Throws Error for what JSON cannot show. */
function describe(type, checker, isInteger = false) {
  if (type.isUnion()) {
    const some = type.types.filter(({flags}) => !(flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined)));
    const described = describeChoices(some, checker, isInteger);
    if (!type.types.some(({flags}) => flags & ts.TypeFlags.Null)) return described;
    return typeof described === 'string' ? `${described}?` : nullable(described);
  }
  return describeChoices([type], checker, isInteger);
}

function describeChoices(types, checker, isInteger) {
  const [type] = types;
  if (types.every((one) => one.flags & ts.TypeFlags.BooleanLike))
    return types.length === 1 && isTrue(type) ? 'true' : 'boolean';
  if (types.every((one) => one.isLiteral())) return types.map(({value}) => value);
  if (types.length > 1) return oneOf(...types.map((one) => describe(one, checker)));
  if (type.flags & ts.TypeFlags.String) return 'text';
  if (type.flags & ts.TypeFlags.Number) return isInteger ? 'count' : 'amount';
  const named = NAMED[type.symbol?.name];
  if (named !== undefined) return named;
  if (checker.isArrayType(type)) return listOf(describe(checker.getTypeArguments(type)[0], checker));
  const values = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  if (values !== undefined) return mapOf('KEY', describe(values, checker));
  if (!(type.flags & ts.TypeFlags.Object)) throw new Error(`JSON has no ${checker.typeToString(type)}.`);
  return Object.fromEntries(type.getProperties().map((field) => describeField(field, checker)));
}

function describeField(field, checker) {
  const optional = field.flags & ts.SymbolFlags.Optional ? '?' : '';
  const meaning = ts.displayPartsToString(field.getDocumentationComment(checker)).replace(/\.$/, '');
  const isInteger = field.getJsDocTags().some(({name}) => name === 'integer');
  return [
    `${field.name}${optional}`,
    [
      describe(checker.getTypeOfSymbol(field), checker, isInteger),
      meaning.replace(/^[A-Z](?=[a-z ])/, (first) => first.toLowerCase()),
    ],
  ];
}

function isTrue(type) {
  return type.intrinsicName === 'true';
}
