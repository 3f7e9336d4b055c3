import {describe, expect, test} from 'vitest';

import GrantBudget from '../../src/commands/grant-budget.js';
import ListChanges from '../../src/commands/list-changes.js';
import ListGrants from '../../src/commands/list-grants.js';
import ListPeriods from '../../src/commands/list-periods.js';
import RenewBudgets from '../../src/commands/renew-budgets.js';
import ResetSession from '../../src/commands/reset-session.js';
import RevokeGrant from '../../src/commands/revoke-grant.js';
import SetPeriod from '../../src/commands/set-period.js';
import UndoChange from '../../src/commands/undo-change.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/use-redis.js';
