// Defines what --json prints, by command. The schemas in docs/reference/schemas and the "JSON" section of each page in
// docs/commands are made from it, and test/docs/schemas.test.ts validates real outputs with them.
//
// A field is [type, meaning]. A type is a name below, with `?` if it may be null; a list of words; an object of fields; or
// listOf(), mapOf(), oneOf() of these. The name of an optional field ends with `?`.

export const listOf = (item) => ({list: item});
export const mapOf = (key, value) => ({map: value, key});
export const oneOf = (...choices) => ({choices});
export const nullable = (type) => ({nullable: type});

/** Names of simple types: what the pages call them, and their schema. */
export const SIMPLE = {
  text: {shown: 'string', schema: {type: 'string'}},
  time: {shown: 'time', schema: {type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$'}},
  zoned: {
    shown: 'time',
    schema: {type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(Z|[+-]\\d\\d:\\d\\d)$'},
  },
  amount: {shown: 'number', schema: {type: 'number'}},
  count: {shown: 'integer', schema: {type: 'integer', minimum: 0}},
  boolean: {shown: 'boolean', schema: {type: 'boolean'}},
  code: {shown: 'string', schema: {type: 'string', pattern: '^[A-Z][A-Z_]*$'}},
  true: {shown: '`true`', schema: {const: true}},
};

const HTTP_STATUS = [429, 500, 503];

const id = {session_id: ['text', 'the session']};
const amounts = {
  budget: ['amount?', 'its limit in US dollars'],
  spent: ['amount?', 'US dollars spent; 0 if nothing is recorded'],
  remaining: ['amount?', 'US dollars left, never below 0'],
  percentage_used: ['amount?', '`spent` in percent of `budget`'],
};
const freeze = {
  is_frozen: ['boolean?', 'whether it is frozen now'],
  frozen_until: ['time?', 'the end of the freeze'],
  freeze_reason: ['text?', 'the reason of the freeze'],
};
const session = {...id, ...amounts};
const changeId = {
  change_id: ['text?', 'the change, for `undo-change`; null if nothing changed or nothing is recorded'],
};
const forecast = {
  spent_per_hour: ['amount?', 'US dollars an hour, over the hour before the last recording; null if unknown'],
  spent_per_hour_of_day: ['amount?', 'the same over the day before it'],
  seconds_until_empty: [
    'amount?',
    'at the higher of the two rates; null if unknown, never, or if the budget renews before',
  ],
};
const recordedForecast = Object.fromEntries(
  Object.entries(forecast).map(([name, [type, meaning]]) => [
    `${name}?`,
    [type, `once spending is recorded: ${meaning}`],
  ]),
);
const reportRow = {
  name: ['text', 'the session, the group, or the first day'],
  spent: ['amount', 'US dollars spent in the period'],
  share: ['amount?', '`spent` in percent of all; null if nothing was spent'],
  budget: ['amount?', 'the sum of the budgets that its sessions have now'],
  sessions: ['count', 'sessions that spent something, in this period or the one before'],
  previous: ['amount?', 'US dollars spent in the period before; null if not compared, or not recorded'],
};
const coverage = {
  from: ['text', 'the first day that is recorded'],
  to: ['text', 'the last day that is recorded'],
  is_whole: ['boolean', 'whether the recording began before the period'],
  largest_gap_seconds: ['count', 'the longest time without a recording'],
  journal_trimmed: ['count', 'the number of recordings that found the journal trimmed'],
  unaccounted: ['amount', 'by how much spending fell without an entry in the journal'],
};
const span = {from: ['text', 'the first day'], to: ['text', 'the last day']};
const newBudget = {
  ...id,
  budget: ['amount?', 'the new limit in US dollars'],
  previous_budget: ['amount?', 'the limit before; null if there was none'],
  spent: amounts.spent,
};
const zoned = nullable('zoned');
const everyPeriod = [nullable(['day', 'week', 'month', 'year']), 'how often the budget renews; null if it does not'];
/** Only for a session that has a period or grants. */
const renewal = {
  'every?': everyPeriod,
  'timezone?': ['text?', 'whose calendar counts'],
  'next_renewal?': [zoned, 'when the next period begins'],
  'grants?': ['amount?', 'the sum of the grants'],
};
const watched = {
  ...session,
  ...freeze,
  requests_last_minute: ['count?', 'requests since the last minute without any'],
  spent_per_minute: ['amount?', 'US dollars a minute; null until there are two readings'],
  seconds_until_empty: [
    'amount?',
    'when the budget runs out at this rate; null if unknown, never, or after the next renewal',
  ],
  next_renewal: ['time?', 'when the next period begins; null if the budget does not renew, or that is overdue'],
};
const context = {
  name: ['text', 'its name'],
  address: ['text?', 'the server; null if the URL is not in the context file itself'],
  database: ['count?', 'the database; null if the URL is not in the context file itself'],
  url_from: [['redis-url', 'redis-url-file', 'redis-url-command'], 'where the URL is'],
  default: ['boolean', 'whether it is the default of the file'],
  protected: ['boolean', 'whether a change asks for its name'],
  read_only: ['boolean', 'whether changes are refused'],
  actor: ['text?', 'who changes something, for the journal'],
  color: ['text?', 'the color of its name in the live view'],
};
const listedContext = {...context, in_effect: ['boolean', 'whether a command with the same flags would use it']};
const contextFile = {file: ['text', 'the context file']};
const totals = {
  count: ['count', 'the number of sessions'],
  budget: ['amount', 'the sum of the budgets that can be read'],
  spent: ['amount', 'the sum of the spending that can be read'],
  remaining: ['amount', 'the sum of what is left'],
  percentage_used: ['amount', 'spent in percent, of sessions whose budget and spending can be read'],
};
const error = {
  code: ['code', 'a stable word'],
  message: ['text', 'what went wrong'],
};

/** What a second look finds: how it is called, and the facts of it. */
const lookOf = (outcomes, facts, isNull) => ({
  look: {
    outcome: [
      ['lasts', ...Object.keys(outcomes), 'failed'],
      `\`lasts\`, ${Object.entries(outcomes)
        .map(([outcome, meaning]) => `\`${outcome}\` (${meaning})`)
        .join(', ')}, or \`failed\``,
    ],
    ...facts,
    'error?': [error, 'why the second look failed, or the correction'],
  },
  isNull,
});
const OVERWRITTEN = {overwritten: 'somebody wrote it right after'};
const TAKEN_OFF = {
  taken_off: 'removed spending was written back, and taken off again',
  jumped: 'it may have been, or is the cost of new requests, and was left',
};
const takenOff = {
  'removed_spent?': ['amount', 'the removed spending'],
  'found_spent?': ['amount', 'what was spent then'],
  'spent?': ['amount', 'what is spent now'],
};
const freezeNow = {
  'frozen_until?': ['time?', 'the end of the freeze now'],
  'freeze_reason?': ['text?', 'its reason'],
};
const budgetNow = {'budget?': ['amount?', 'the limit now']};
const spendingLook = lookOf(TAKEN_OFF, takenOff, 'if no spending was removed, or with `--no-second-look`');
const periodLook = lookOf(
  {...TAKEN_OFF, ...OVERWRITTEN},
  {...takenOff, ...budgetNow},
  'if no spending was removed, and there was a budget before',
);
const freezeLook = lookOf(OVERWRITTEN, freezeNow, 'if a freeze was kept');
const unfreezeLook = lookOf(OVERWRITTEN, freezeNow, 'if no freeze was lifted');
const budgetLook = lookOf(OVERWRITTEN, budgetNow, 'if there was a budget before');
const undoLook = lookOf(
  {...TAKEN_OFF, put_back: 'restored spending was overwritten, and added again', ...OVERWRITTEN},
  {...takenOff, 'added_spent?': ['amount', 'the spending that was added again'], ...budgetNow, ...freezeNow},
  '',
);
const lookedAt = ({look, isNull}) => ({second_look: [nullable(look), `whether it has lasted; null ${isNull}`]});
const OF_ALL = {session_id: ['text?', 'the session; null for all']};

/** The document of a batch, and the lines of its --format ndjson. `results` are the facts of one that is done; a list, of either. */
function batchOf(verb, done, results, {facts = changeId, second} = {}) {
  const head = (outcomes) => ({...id, outcome: [outcomes, 'what happened'], ...facts});
  const result = oneOf(
    ...[results].flat().map((facts) => ({...head([done, 'unchanged']), ...facts})),
    {
      ...head([`would_${verb}`, 'unchanged']),
      now: ['text', 'with `--dry-run`: the current values'],
      then: ['text?', 'with `--dry-run`: the values after; null if they stay'],
    },
    {...head(['not_found', 'failed', 'unknown', 'not_done']), error: [error, 'why']},
  );
  const summary = {
    [`${done}?`]: ['count', `sessions changed (\`would_${verb}\` with \`--dry-run\`)`],
    [`would_${verb}?`]: ['count', 'sessions that would change'],
    unchanged: ['count', 'sessions with nothing to do'],
    not_found: ['count', 'sessions that do not exist'],
    failed: ['count', 'sessions that Redis refused to change'],
    unknown: ['count', 'sessions without a reply'],
    not_done: ['count', 'sessions that the batch did not reach'],
  };
  const document = {
    action: [[verb], 'what the batch does'],
    dry_run: ['boolean', 'whether this is only a preview'],
    results: [listOf(result), 'one for each session'],
    ...(second && {
      second_looks: [
        nullable(listOf({...OF_ALL, ...second.look})),
        'changes that did not last; null without a second look',
      ],
    }),
    change_id: ['text?', 'the change of the whole batch; null if there is none, or more than one'],
    summary: [summary, 'the number of sessions by outcome'],
  };
  const line = second
    ? oneOf(...result.choices, {...OF_ALL, second_look: [second.look, 'changes that did not last']})
    : result;
  return {document, line};
}

/** A command on one session or on many. */
function oneOrMany(verb, done, results, second) {
  const {document, line} = batchOf(verb, done, results, {second});
  return {
    documents: [
      {of: 'One session', is: {...id, ...results, ...(second && lookedAt(second)), ...changeId}},
      {of: 'A batch', is: document},
    ],
    line,
  };
}

const judged = {
  verdict: [['passes', 'close', 'refuses', 'not_recorded'], 'what the rule says; `close` from 80 percent on'],
  http_status: [nullable(HTTP_STATUS), 'the answer of the gateway if the rule refuses'],
  until: ['time?', 'when the refusal ends by itself'],
  problem: ['text?', 'what the gateway cannot use in Redis'],
};
const RULES = ['freeze', 'request_rate', 'loop', 'velocity', 'history', 'budget'];
const rule = (name, facts = {}) => ({rule: [[name], 'the rule'], ...judged, ...facts});

const finding = {
  key: ['text', 'the key in Redis'],
  ...id,
  problem: ['text', 'a stable word for what is wrong'],
  found: ['text', 'what is there'],
  effect: ['text', 'what it causes'],
  http_status: [nullable(HTTP_STATUS), 'the HTTP status that every request of the session gets because of it'],
  fix: ['text?', 'what `--fix` does; null if it needs a decision'],
  commands: [listOf('text'), 'commands that help'],
};
const repair = {
  key: ['text', 'the key in Redis'],
  problem: ['text', 'the word of its finding'],
  action: ['text', 'the repair'],
  outcome: [['fixed', 'would_fix', 'changed', 'failed', 'unknown', 'not_done'], 'what happened'],
  'error?': [error, 'why it is not fixed'],
  'change_id?': [
    'text?',
    'with `--fix`: the change, for `undo-change`; null if it is not fixed or nothing is recorded',
  ],
};

const keyValues = mapOf(
  'KEY',
  nullable({
    value: ['text?', 'the exact text; null if it is no text'],
    ttl_ms: ['count?', 'time to live; null if it does not expire'],
  }),
);
const change = {
  change_id: ['text', 'the change, for `undo-change`'],
  at: ['time', 'when, by the clock of the server'],
  actor: ['text', 'who'],
  command: ['text', 'the command'],
  reason: ['text?', 'why (`--note`)'],
  version: ['text', 'the version of tokengate'],
  undoes: ['text?', 'the change that this one undid'],
  undone_by: ['text?', 'the change that undid this one for the session'],
  ...id,
  complete: ['boolean', 'false if it began on a Redis Cluster and is not known to be done'],
  before: [keyValues, 'the changed keys before; null for a key that did not exist'],
  after: [keyValues, 'the changed keys after'],
};
/** With `--after` or `--follow`. */
const shippedChange = {
  cursor: ['text', 'for `--after`, with `--after` or `--follow`'],
  ...Object.fromEntries(Object.entries(change).filter(([name]) => name !== 'undone_by')),
};
const request = {
  timestamp: ['time?', 'when; null if the entry is malformed'],
  model: ['text?', 'the model'],
  cost: ['amount?', 'US dollars; null while it is not recorded'],
  malformed: ['text?', 'an entry that is not as the gateway writes it'],
};
const group = {group: ['text', 'the group'], ...totals};
const watchedSums = {
  ...totals,
  statuses: [
    Object.fromEntries(
      ['frozen', 'invalid', 'empty', 'low', 'ok'].map((status) => [status, ['count', `sessions that are ${status}`]]),
    ),
    'sessions by status',
  ],
};
const listed = Object.fromEntries(
  Object.entries({
    ...id,
    ...amounts,
    ...freeze,
    status: [['frozen', 'invalid', 'empty', 'low', 'ok'], 'with `--columns status`: the status of the session'],
    spent_per_minute: ['amount?', 'with `--sort rate`: US dollars a minute'],
    every: [everyPeriod[0], 'with `--columns period`: how often the budget renews; null if it does not'],
    next_renewal: [zoned, 'with `--columns resets`: when the next period begins'],
    grants: ['amount?', 'with `--columns grants`: the sum of the grants'],
    ...Object.fromEntries(
      Object.entries({
        hourly: 'spent_per_hour',
        daily: 'spent_per_hour_of_day',
        empties: 'seconds_until_empty',
      }).map(([column, name]) => [name, [forecast[name][0], `with \`--columns ${column}\`: ${forecast[name][1]}`]]),
    ),
    session_id_hex: ['text', 'only if the ID is not UTF-8 text: its bytes, for `--stdin`'],
  }).map(([name, field]) => [`${name}?`, field]),
);
const undone = batchOf(
  'undo',
  'undone',
  {restored: [mapOf('KEY', 'text?'), 'the restored keys and their values; null for a removed key']},
  {
    facts: {
      change_id: ['text', 'the change that is undone'],
      undone_by: ['text?', 'the change that undid it; null if nothing changed or nothing is recorded'],
    },
    second: undoLook,
  },
);
const notification = {
  via: [['webhook', 'exec'], 'the way'],
  delivered: ['count', 'findings delivered'],
  failed: ['count', 'findings not delivered'],
  error: ['text?', 'the first failure'],
};
const crossing = {
  ...id,
  severity: [['critical', 'warning'], 'how severe it is'],
  check: [
    ['used', 'left', 'rate', 'empties', 'frozen', 'overdue', 'unreadable_money', 'unreadable_freeze'],
    'the limit that is crossed',
  ],
  threshold: ['amount?', 'the limit: percent, US dollars, or US dollars a minute'],
  ...amounts,
  ...freeze,
  'spent_per_minute?': ['amount?', 'with `--max-rate`: US dollars a minute'],
  message: ['text', 'the finding as a sentence'],
};

const grant = {
  grant_id: ['text', 'the grant, for `revoke-grant`'],
  amount: ['amount', 'US dollars'],
  until: ['time?', 'its end; null if it ends with the next renewal'],
  note: ['text', 'why (`--note`)'],
};
const period = {
  every: everyPeriod,
  amount: ['amount?', 'the budget of each period in US dollars'],
  timezone: ['text?', 'whose calendar counts'],
  at: ['text?', 'the time at which a period begins'],
  on: ['count?', 'the day of the week or month on which it begins'],
  rollover: [nullable(['none', 'unused']), 'what is carried over'],
  max_rollover: ['amount?', 'the most that is carried over'],
  last_renewal: [zoned, 'the last renewal'],
  next_renewal: [zoned, 'the next renewal'],
  carried_over: ['amount?', 'US dollars carried over from the period before'],
  budget: amounts.budget,
  spent: amounts.spent,
  grants: ['amount', 'the sum of the grants that go on'],
};
const granted = {
  budget: ['amount?', 'the new limit in US dollars'],
  previous_budget: ['amount?', 'the limit before'],
  ...changeId,
};
const renewed = batchOf(
  'renew',
  'renewed',
  {
    budget: ['amount?', 'the new limit in US dollars'],
    previous_budget: ['amount?', 'the limit before'],
    removed_spent: ['amount?', 'the spending that was cleared'],
    carried_over: ['amount?', 'US dollars carried over from the period before'],
    ended_grants: [listOf(grant), 'the grants that ended'],
    next_renewal: [zoned, 'the next renewal'],
  },
  {second: periodLook},
);

/** A session as a file of budgets says it. */
const budgetState = {
  budget: ['amount?', 'US dollars without grants and without what a renewal carried over; null if it is no amount'],
  grants: ['amount', 'the sum of the grants'],
  period: [
    nullable({
      every: [['day', 'week', 'month', 'year'], 'how often the budget renews'],
      amount: ['amount', 'US dollars that each renewal gives'],
      timezone: ['text', 'whose calendar counts'],
      at: ['text', 'the time at which a period begins'],
      on: period.on,
      rollover: [['none', 'unused'], 'what is carried over'],
      max_rollover: period.max_rollover,
    }),
    'how the budget renews; null if it does not',
  ],
};
const changedBudget = {
  before: [budgetState, 'the session before'],
  after: [budgetState, 'the session after'],
  spent: ['amount?', 'US dollars spent; null if nothing is recorded, or that is no amount'],
  used_up: ['boolean', 'whether the new budget is spent already'],
  note: ['text?', 'what the file says of it for people (`note`)'],
};
const named = {...id, 'session_id_hex?': ['text', 'only if the ID is not UTF-8 text: its bytes']};
const difference = oneOf(
  {...named, difference: [['add', 'change'], 'whether the session gets a first budget'], ...changedBudget},
  {...named, difference: [['unlisted'], 'the file does not list it']},
  {...named, difference: [['failed'], 'it cannot be compared'], error: [error, 'why']},
);
const applied = batchOf(
  'change',
  'changed',
  [
    changedBudget,
    {
      freeze_reason: ['text', 'why it is frozen (`--unlisted freeze`)'],
      frozen_until: ['time', 'the end of the freeze'],
    },
  ],
  {second: lookOf(OVERWRITTEN, {...budgetNow, ...freezeNow}, '')},
);
const fileEntry = {
  'budget?': ['amount', 'US dollars to spend now'],
  'amount?': ['amount', 'US dollars that each renewal gives; the budget if left out'],
  'period?': [['day', 'week', 'month', 'year'], 'how often the budget renews'],
  'timezone?': ['text', 'whose calendar counts; UTC if left out'],
  'at?': ['text', 'the time at which a period begins; 00:00 if left out'],
  'on?': ['text', 'the day of the week or month on which it begins'],
  'rollover?': [['unused'], 'what a renewal adds'],
  'max-rollover?': ['amount', 'the most that is carried over'],
};

const one = (is) => ({documents: [{is}]});

export const DOCUMENTS = {
  'add-budget': one({...newBudget, ...changeId}),
  'add-context': one({...context, ...contextFile}),
  'anomaly-stats': one({
    ...id,
    is_frozen: freeze.is_frozen,
    freeze_reason: freeze.freeze_reason,
    frozen_until: freeze.frozen_until,
    requests_last_minute: ['count?', 'requests since the last minute without any'],
    requests_limit: ['count', 'the limit of the gateway'],
    identical_consecutive: ['count?', 'identical requests in a row after the first'],
    identical_limit: ['count', 'the limit of the gateway'],
  }),
  'apply-budgets': {documents: [{is: applied.document}], line: applied.line},
  'check-sessions': one({
    status: [['ok', 'warning', 'critical'], 'the most severe finding'],
    checked: ['count', 'sessions checked'],
    critical: ['count', 'critical findings'],
    warning: ['count', 'warnings'],
    reported_before: ['count?', 'with `--new-only`: crossings that last and were reported before'],
    findings: [listOf(crossing), 'the limits that are crossed'],
    notifications: [listOf(notification), 'the result of `--webhook-file` and `--exec`'],
  }),
  'check-store': {
    documents: [
      {
        is: {
          findings: [listOf(finding), 'what was found'],
          repairs: [listOf(repair), 'with `--fix`: the repairs'],
          summary: [
            {
              keys: ['count', 'keys looked at'],
              findings: ['count', 'findings'],
              fixable: ['count', 'findings that `--fix` repairs'],
              fixed: ['count', 'repaired'],
              not_fixed: ['count', 'not repaired'],
              dashboard_fails: ['boolean', "whether the gateway's own dashboard answers HTTP 500 because of a finding"],
            },
            'the totals',
          ],
        },
      },
    ],
    line: oneOf(
      {type: [['finding'], 'the kind of line'], ...finding},
      {type: [['repair'], 'the kind of line'], ...repair},
    ),
  },
  'diff-budgets': {
    documents: [
      {
        is: {
          differences: [listOf(difference), 'the sessions that differ, in the order of their IDs'],
          summary: [
            {
              to_change: ['count', 'sessions that would change'],
              not_listed: ['count', 'sessions that the file does not list'],
              unchanged: ['count', 'sessions that are as they should be'],
              failed: ['count', 'sessions that cannot be compared'],
            },
            'the number of sessions',
          ],
        },
      },
    ],
    line: difference,
  },
  'explain-session': one({
    ...id,
    is_known: ['boolean', 'whether Redis has anything of the session'],
    checked_at: ['time', 'when, by the clock of the server'],
    cost: ['amount?', '`--cost`'],
    identical: ['boolean', '`--identical`'],
    passes: ['boolean', 'whether the next request passes'],
    http_status: [nullable(HTTP_STATUS), 'the answer of the gateway if it refuses'],
    refused_by: [nullable(RULES), 'the rule that refuses'],
    until: ['time?', 'when it would pass by itself'],
    passes_if_identical: ['boolean', 'whether a repeat of the last request passes'],
    rules: [
      listOf(
        oneOf(
          rule('freeze', {frozen_until: freeze.frozen_until, freeze_reason: freeze.freeze_reason}),
          rule('request_rate', {
            requests_last_minute: ['count?', 'requests since the last minute without any'],
            requests_limit: ['count', 'the limit of the gateway'],
            counted_until: ['time?', 'when the count starts again'],
          }),
          rule('loop', {
            identical_consecutive: ['count?', 'identical requests in a row after the first'],
            identical_limit: ['count', 'the limit of the gateway'],
            last_request_known: ['boolean', 'whether the gateway remembers the last request'],
            http_status_if_identical: [nullable(HTTP_STATUS), 'the answer to a repeat of the last request'],
          }),
          rule('velocity'),
          rule('history'),
          rule('budget', {
            budget: amounts.budget,
            is_default: ['boolean', 'no budget is set: the default of the gateway applies'],
            is_unlimited: ['boolean', 'the budget is infinite'],
            spent: amounts.spent,
            remaining: amounts.remaining,
            percentage_used: amounts.percentage_used,
            missing: ['amount?', 'how much the budget lacks for the request'],
          }),
        ),
      ),
      'the rules, in the order of the gateway',
    ],
    commands: [listOf('text'), 'commands that let the request pass'],
    notes: [listOf('text'), 'additional remarks, as sentences'],
    next_renewal: [zoned, 'when the budget renews; null if it does not'],
    ...recordedForecast,
    grant_commands: [listOf('text'), 'alternatives to `add-budget` for this period only'],
  }),
  'export-budgets': one({
    version: [[1], 'the version of the format'],
    'scope?': [listOf('text'), '`--match`'],
    'sessions?': [mapOf('SESSION', fileEntry), 'the sessions; left out if there are none'],
    'id_hex?': [mapOf('HEX', fileEntry), 'sessions whose ID is not UTF-8 text, by its bytes'],
  }),
  'freeze-session': oneOrMany(
    'freeze',
    'frozen',
    {
      is_frozen: ['true', 'it is frozen now'],
      freeze_reason: freeze.freeze_reason,
      frozen_until: ['time', 'the end of the freeze'],
      previously_frozen_until: ['time?', 'the end of the freeze before'],
      previous_freeze_reason: ['text?', 'the reason of the freeze before'],
    },
    freezeLook,
  ),
  'get-budget': one({...session, ...renewal, ...recordedForecast}),
  'grant-budget': one({...id, ...grant, ...granted}),
  health: one({
    healthy: ['true', 'if not, there is an error instead'],
    address: ['text', 'the server'],
    database: ['count', 'the database'],
    version: ['text?', 'the version of Redis'],
    role: [['primary', 'cluster', 'unknown'], 'the role of the server'],
    latency_ms: ['amount', 'the time of a round trip'],
    cluster: [
      nullable({primaries: ['count', 'primaries'], replicas: ['count', 'replicas']}),
      'the nodes; null without a Cluster',
    ],
    can_change: ['boolean', 'false if scripts or the journal are refused, so that changes fail'],
    context: ['text?', 'the context by which it was reached'],
    store: ['text?', 'what the store calls itself, if it is protected'],
    protected: ['boolean', 'whether a change asks for the name of the store or the context'],
  }),
  'list-changes': {documents: [{is: listOf(change)}], line: oneOf(change, shippedChange)},
  'list-contexts': {documents: [{is: listOf(listedContext)}], line: listedContext},
  'list-grants': {documents: [{is: listOf({...id, ...grant})}], line: {...id, ...grant}},
  'list-periods': {
    documents: [{is: listOf({...id, ...period, is_overdue: ['boolean', 'whether a renewal is overdue']})}],
    line: {...id, ...period, is_overdue: ['boolean', 'whether a renewal is overdue']},
  },
  'list-requests': {documents: [{is: listOf(request)}], line: request},
  'list-sessions': {
    documents: [
      {of: 'The list', is: listOf(listed)},
      {of: 'With `--totals`', is: {sessions: [listOf(listed), 'the list'], totals: [totals, 'the sums']}},
      {of: 'With `--group` or `--group-depth`', is: listOf(group)},
    ],
    line: oneOf(listed, group),
  },
  'print-metrics': one({
    file: ['text?', '`--out`'],
    sessions: ['count', 'sessions measured'],
    left_out: ['count', 'sessions without series of their own (`--max-series`)'],
    metrics: [
      listOf({
        name: ['text', 'the metric'],
        type: [['gauge'], 'its type'],
        help: ['text', 'its meaning'],
        samples: [
          listOf({labels: [mapOf('LABEL', 'text'), 'its labels'], value: ['amount', 'its value']}),
          'its samples',
        ],
      }),
      'the metrics',
    ],
  }),
  'record-spending': one({
    recorded_at: ['time', 'when, by the clock of the server'],
    since: ['time?', 'the recording before; null for the first'],
    timezone: ['text', 'the time zone of the days'],
    match: ['text?', 'the glob that recorded sessions match; null for all'],
    sessions: ['count', 'sessions read'],
    active: ['count', 'sessions that have spent something since'],
    spent: ['amount', 'US dollars spent since'],
    unaccounted: [
      listOf({
        ...id,
        amount: ['amount', 'by how much its spending fell without an entry in the journal'],
        left: ['amount', 'the spending after the fall'],
      }),
      'spending that fell without an entry in the journal',
    ],
    journal_trimmed: ['boolean', 'whether the journal no longer has all changes since'],
    dropped_days: [listOf('text'), 'days that were dropped (`--keep`)'],
  }),
  'report-spending': {
    documents: [
      {
        is: {
          period: [{...span, timezone: ['text', 'the time zone of the days']}, 'the period'],
          by: [['session', 'group', 'day', 'week', 'month'], 'what each row stands for'],
          rows: [listOf(reportRow), 'the rows'],
          others: [nullable(reportRow), 'what `--top` leaves out'],
          total: [reportRow, 'the sums'],
          compared_with: [nullable(span), 'the period before (`--compare`)'],
          coverage: [coverage, 'how completely the period is recorded'],
        },
      },
    ],
    line: oneOf(
      {kind: [['session', 'group', 'day', 'week', 'month', 'others', 'total'], 'what the line is'], ...reportRow},
      {kind: [['coverage'], 'what the line is'], ...coverage},
    ),
  },
  'renew-budgets': {documents: [{is: renewed.document}], line: renewed.line},
  'protect-store': one({
    store: ['text?', 'the name that a change has to give; null if the store is not protected'],
    previous_store: ['text?', 'the name before'],
    ...changeId,
  }),
  'remove-context': one({
    name: context.name,
    was_default: ['boolean', 'whether it was the default of the file, which has none now'],
    ...contextFile,
  }),
  'revoke-grant': one({...id, revoked_grants: [listOf(grant), 'the grants that ended'], ...granted}),
  'reset-session': oneOrMany(
    'reset',
    'reset',
    {
      removed_budget: [oneOf('amount?', 'text'), 'the removed limit; its text if it is no amount'],
      removed_spent: [oneOf('amount?', 'text'), 'the removed spending; its text if it is no amount'],
      'removed_grants?': ['amount?', 'where there were grants, their sum; null if they cannot be read'],
    },
    spendingLook,
  ),
  'set-budget': one({...newBudget, ...lookedAt(budgetLook), ...changeId}),
  'set-period': oneOrMany('set', 'set', period, periodLook),
  'undo-change': {documents: [{is: undone.document}], line: undone.line},
  'unfreeze-session': oneOrMany(
    'unfreeze',
    'unfrozen',
    {
      was_frozen: ['boolean', 'whether a freeze was lifted'],
      freeze_reason: ['text?', 'its reason'],
      frozen_until: ['time?', 'the end it had'],
      counters_cleared: ['boolean', 'whether counters were cleared'],
    },
    unfreezeLook,
  ),
  'watch-sessions': {
    documents: [
      {
        of: 'With `--once`',
        is: {
          time: ['time', 'when, by the clock of the server'],
          sessions: [listOf(watched), 'the sessions, in the order of `--sort`'],
          totals: [watchedSums, 'the sums'],
          'groups?': [
            listOf({...group, spent_per_minute: watched.spent_per_minute, statuses: watchedSums.statuses}),
            'the sums of groups, with `--group-by`',
          ],
        },
      },
    ],
    line: oneOf(
      {event: [['added', 'changed'], 'what happened'], time: ['time', 'when'], ...watched},
      {event: [['removed'], 'what happened'], time: ['time', 'when'], ...id},
    ),
  },
};

/** The document on stderr when a command fails with --json. */
export const ERROR = {error: [{...error, hint: ['text?', 'what to do about it']}, 'the failure']};

/** A JSON Schema (draft 2020-12) of a command's documents; `#/$defs/line` is a line of its --format ndjson. */
export function toSchemaFile(title, {documents, line}) {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    ...(documents.length === 1 ? toSchema(documents[0].is) : {anyOf: documents.map(({is}) => toSchema(is))}),
    ...(line !== undefined && {$defs: {line: toSchema(line)}}),
  };
}

function toSchema(type) {
  if (typeof type === 'string') {
    const {schema} = SIMPLE[type.replace('?', '')];
    return type.endsWith('?') ? orNull(schema) : schema;
  }
  if (Array.isArray(type)) return type.length === 1 ? {const: type[0]} : {enum: type};
  if (type.list !== undefined) return {type: 'array', items: toSchema(type.list)};
  if (type.map !== undefined) return {type: 'object', additionalProperties: toSchema(type.map)};
  if (type.choices !== undefined) return {anyOf: type.choices.map(toSchema)};
  if (type.nullable !== undefined) return orNull(toSchema(type.nullable));
  const fields = Object.entries(type);
  return {
    type: 'object',
    properties: Object.fromEntries(
      fields.map(([name, [of, description]]) => [name.replace('?', ''), {description, ...toSchema(of)}]),
    ),
    required: fields.flatMap(([name]) => (name.endsWith('?') ? [] : [name])),
    additionalProperties: false,
  };
}

function orNull(schema) {
  if (schema.enum !== undefined) return {enum: [...schema.enum, null]};
  return {...schema, type: [schema.type, 'null']};
}

/** Every field of a type in words: its path, its type and its meaning, once each. */
export function listFields(type, path = '') {
  const rows = new Map();
  const add = (of, at) => {
    if (typeof of === 'string' || Array.isArray(of)) return;
    if (of.list !== undefined) return add(of.list, `${at}[]`);
    if (of.map !== undefined) return add(of.map, `${at}.${of.key}`);
    if (of.nullable !== undefined) return add(of.nullable, at);
    if (of.choices !== undefined) return of.choices.forEach((choice) => add(choice, at));
    for (const [name, [inner, meaning]] of Object.entries(of)) {
      const field = `${at}${at === '' ? '' : '.'}${name.replace('?', '')}`;
      const row = rows.get(field);
      const types = new Set([...(row?.types ?? []), ...wordsFor(inner)]);
      rows.set(field, {types, meaning: row?.meaning ?? meaning, isOptional: name.endsWith('?')});
      add(inner, field);
    }
  };
  add(type, path);
  return [...rows].map(([field, {types, meaning, isOptional}]) => ({
    field,
    type: `${[...types].filter((word) => word !== 'null').join(', ')}${types.has('null') ? ' or null' : ''}`,
    meaning: isOptional ? `${meaning} (optional)` : meaning,
  }));
}

function wordsFor(type) {
  if (typeof type === 'string') return [SIMPLE[type.replace('?', '')].shown, ...(type.endsWith('?') ? ['null'] : [])];
  if (Array.isArray(type)) return type.map((word) => `\`${word}\``);
  if (type.list !== undefined) return ['array'];
  if (type.choices !== undefined) return type.choices.flatMap(wordsFor);
  if (type.nullable !== undefined) return [...wordsFor(type.nullable), 'null'];
  return ['object'];
}
