// What the project wants of itself: ratios to the program that runs beside, over TCP, and peaks of memory.
const TARGETS = {
  'start-health': {ratio: 1.95, aim: 1.75},
  'start-get-budget': {ratio: 1.95, aim: 1.75},
  'start-set-budget': {ratio: 1.95, aim: 1.75},
  'start-help': {ratio: 1.9, aim: 1.75},
  'start-help-command': {ratio: 1.9, aim: 1.75},
  'start-version': {ratio: 1.1, aim: 1.05},
  'first-get-budget': {ratio: 3, aim: 2.8},
  'first-help': {ratio: 2.5, aim: 2.3},
  'tab-command': {ratio: 1.25, aim: 1.2},
  'tab-session': {ratio: 1.65, aim: 1.5},
  'list-start 1000': {ratio: 3.6, aim: 3},
  'list-ndjson 10000': {ratio: 3.8, aim: 3},
  'list-ndjson 100000': {ratio: 2, aim: 1.4},
  'list-json 100000': {ratio: 2, aim: 1.4},
  'list-csv 100000': {ratio: 2, aim: 1.4},
  'list-table 100000': {ratio: 2.6, aim: 2},
  'list-ndjson 1000000': {peakMiB: 150},
  'reset-stdin-once 100000': {ratio: 3.3, aim: 3},
  'reset-all-once 100000': {ratio: 3.8, aim: 3.3},
  'renew-all 100000': {ratio: 1.5},
  'renew-nothing 100000': {ratio: 1.5},
  'budgets-diff 100000': {ratio: 3, aim: 2.3},
  'budgets-same 100000': {ratio: 3, aim: 1.3},
  'budgets-all 100000': {ratio: 1.5, aim: 1.3},
};

/** Undefined for what has no target. */
export function targetOf(name, {count, over = 'TCP'}) {
  return over === 'TCP' ? TARGETS[count === undefined ? name : `${name} ${count}`] : undefined;
}
