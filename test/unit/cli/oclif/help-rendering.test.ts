import {Config, HelpBase} from '@oclif/core';
import fc from 'fast-check';
import {beforeAll, describe, expect, test} from 'vitest';

import {renderNames, wrapAscii} from '../../../../src/cli/oclif/help-rendering.js';
import {ROOT} from '../../../support/program/run.js';

/** oclif's own formatter, with nothing of ours. */
class OclifFormatter extends HelpBase {
  showHelp(): Promise<void> {
    return Promise.resolve();
  }

  showCommandHelp(): Promise<void> {
    return Promise.resolve();
  }
}

let config: Config;
beforeAll(async () => {
  config = await Config.load(ROOT);
});
const oclif = (columns = 80): OclifFormatter => new OclifFormatter(config, {maxWidth: columns});

describe('renderNames', () => {
  test.each([
    ['plain text'],
    [''],
    ['100 %> of it'],
    ['<%= config.bin %> ls'],
    ['$ <%= config.bin %>, and <%= config.bin %> again'],
    ['<%= config.bin %>/<%= config.version %>'],
    ['<%- config.name %>'],
    ['<%= 1 + 1 %>'],
    ['a <%% that stays'],
  ])('says of %j what ejs does', (text) => {
    const {render} = oclif();
    expect(renderNames({'config.bin': config.bin}, render)(text)).toBe(render(text));
  });

  test('asks ejs only for what is more than a name', () => {
    const asked: string[] = [];
    const render = renderNames({'config.bin': 'tokengate', 'command.id': 'health'}, (text) => {
      asked.push(text);
      return text;
    });
    expect(render('<%= config.bin %> <%= command.id %>')).toBe('tokengate health');
    expect(asked).toEqual([]);
    render('<%= config.bin %> <%= config.constructor %>');
    expect(asked).toEqual(['tokengate <%= config.constructor %>']);
  });
});

describe('wrapAscii', () => {
  const columns = 24;
  const text = fc.string({
    unit: fc.constantFrom(' ', ' ', 'a', 'word', '-', '\n', '\t', '\r', '\u001b[1m', 'é', '日', '😀'),
    maxLength: 30,
  });

  test('wraps as oclif does, or leaves it to oclif', () => {
    fc.assert(
      fc.property(text, (one) => {
        expect(wrapAscii(one, columns) ?? oclif(columns).wrap(one, 0)).toBe(oclif(columns).wrap(one, 0));
      }),
    );
  });

  test('leaves what is too long, and what is not ASCII', () => {
    expect(wrapAscii('x'.repeat(columns), columns)).toBe('x'.repeat(columns));
    expect(wrapAscii('x'.repeat(columns + 1), columns)).toBeUndefined();
    expect(wrapAscii('é', columns)).toBeUndefined();
  });
});
