import {describeGrant} from '../periods/describe.js';
import {parseGrants} from '../periods/grants.js';
import {formatPeriod, parsePeriod, storedTimezone} from '../periods/period.js';
import {isAhead} from '../periods/renewal.js';
import {isTimezone} from '../values/time.js';
import type {KeyFacts} from './facts.js';
import {type Advice, type Judged, nameFinding, NO_END, NO_KEY, NO_REPAIR, quote, repairOf} from './finding.js';

/** What is wrong with a period, by its key and by whether there is a budget. */
export function judgePeriod(facts: KeyFacts, now: Date): Judged[] {
  const finding = {...nameFinding(facts), ...NO_REPAIR, answer: null};
  const {
    text,
    ttl,
    others: [budgetTtl],
  } = facts;
  const advice: Advice[] = ['set_period', 'end_period'];
  const effect = 'renew-budgets fails on it, and its budget does not renew';
  if (text === null) return [{...finding, problem: 'period_wrong_type', what: `a Redis ${facts.type}`, effect, advice}];
  const period = parsePeriod(text);
  if (period === undefined) {
    const zone = storedTimezone(text);
    if (zone === undefined || isTimezone(zone)) {
      return [{...finding, problem: 'period_unreadable', what: `${quote(text)}, which is no period`, effect, advice}];
    }
    const what = `the time zone ${quote(zone)}, which this Node.js does not know`;
    return [{...finding, problem: 'period_unknown_timezone', what, effect, advice}];
  }
  const findings: Judged[] = [];
  if (budgetTtl === NO_KEY) {
    const what = 'a period without a budget';
    const lost = "until it renews, the session gets the gateway's default budget at its next request";
    const ways: Advice[] = ['set_budget', 'end_period'];
    findings.push({...finding, problem: 'period_without_budget', what, effect: lost, advice: ways});
  }
  if (isAhead(period, now)) {
    const what = `a last renewal in the future, at ${period.renewed.toISOString()}`;
    const renewed = formatPeriod({...period, renewed: now});
    const repair = repairOf(facts, 'set it to now', {text: renewed, end: 'never'});
    findings.push({...finding, problem: 'period_ahead', what, effect: 'it does not renew before that', repair});
  } else if (ttl !== NO_END) {
    const repair = repairOf(facts, 'take its end away', {end: 'never'});
    const what = 'a period that ends by itself';
    findings.push({...finding, problem: 'period_expires', what, effect: 'then its budget no longer renews', repair});
  }
  return findings;
}

/** The same of grants, by whether there are a budget and a period. */
export function judgeGrants(facts: KeyFacts): Judged[] {
  const finding = {...nameFinding(facts), ...NO_REPAIR, answer: null};
  const {
    text,
    ttl,
    others: [budgetTtl, periodTtl],
  } = facts;
  const broken = {
    ...finding,
    effect: 'they never end, and renew-budgets fails on them',
    advice: ['delete_key'] as Advice[],
  };
  if (text === null) return [{...broken, problem: 'grants_wrong_type', what: `a Redis ${facts.type}`}];
  const grants = parseGrants(text);
  if (grants === undefined)
    return [{...broken, problem: 'grants_unreadable', what: `${quote(text)}, which is no list of grants`}];
  if (grants.length === 0) {
    const repair = repairOf(facts, 'delete it', 'delete');
    return [{...finding, problem: 'grants_empty', what: 'an empty list of grants', effect: 'it means nothing', repair}];
  }
  const findings: Judged[] = [];
  if (budgetTtl === NO_KEY) {
    const effect = "their end takes them off the gateway's default budget";
    const what = 'grants without a budget';
    findings.push({
      ...finding,
      problem: 'grants_without_budget',
      what,
      effect,
      advice: ['revoke_grants', 'set_budget'],
    });
  }
  const endless = grants.find(({until}) => until === null);
  if (endless !== undefined && periodTtl === NO_KEY) {
    const what = `a grant of ${describeGrant(endless)}, of a budget that does not renew`;
    const advice: Advice[] = ['revoke_grant', 'set_period'];
    findings.push({...finding, problem: 'grants_without_period', what, effect: 'it never ends', advice});
  }
  if (ttl !== NO_END) {
    const repair = repairOf(facts, 'take its end away', {end: 'never'});
    const what = 'grants whose list ends by itself';
    const effect = 'then what was granted is never taken off again';
    findings.push({...finding, problem: 'grants_expire', what, effect, repair});
  }
  return findings;
}
