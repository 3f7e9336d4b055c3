// Hooks for `module.register`: Node.js loads the sources, which import each other as the `.js` that the build makes of them.
import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

import {transform} from 'esbuild';

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || !/^[./].*\.js$/.test(specifier)) throw error;
    const source = specifier.replace(/\.js$/, '.ts');
    return next(source, context).catch(() => next(`${source}x`, context));
  }
}

export async function load(url, context, next) {
  const [, loader] = /^file:.*\.(tsx?)$/.exec(url) ?? [];
  if (loader === undefined) return next(url, context);
  const sourcefile = fileURLToPath(url);
  const options = {loader, sourcefile, format: 'esm', sourcemap: 'inline', target: 'es2023', jsx: 'automatic'};
  const {code} = await transform(await readFile(sourcefile, 'utf8'), options);
  return {format: 'module', source: code, shortCircuit: true};
}
