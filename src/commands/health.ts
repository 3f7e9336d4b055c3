import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag} from '../cli/oclif/flags.js';
import {isJournalOff} from '../cli/oclif/journal-flags.js';
import {checkHealth, type Health} from '../lib/monitoring/health.js';

interface HealthJson {
  healthy: true;
  address: string;
  database: number;
  version: string | null;
  role: string;
  latency_ms: number;
  /** Null for one server. */
  cluster: {primaries: number; replicas: number} | null;
  /** False if this CLI cannot do all that it does, although the gateway can. */
  can_change: boolean;
  /** The name that was used to connect. */
  context: string | null;
  /** The name that a protected store gives itself. */
  store: string | null;
  /** True when a change asks for a name. */
  protected: boolean;
}

export default class HealthCommand extends BaseCommand<typeof HealthCommand> {
  static override summary = 'Check that Redis is reachable, readable and writable';
  static override description = `Connects, logs in, reads, and checks that writing is possible without writing anything. Exits with 1 if any of it fails.

Warns if the gateway works but this program cannot make changes, because scripts or the journal are refused.`;
  static group = 'Monitoring';
  static override examples = [
    {description: 'Check the connection', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'Check another server',
      command: '<%= config.bin %> --redis-url redis://other-host:6379 <%= command.id %>',
    },
  ];
  static related = ['check-store', 'list-sessions'];

  static override flags = {format: answerFormatFlag()};

  async run(): Promise<HealthJson> {
    this.askForStore();
    const health = await checkHealth(await this.connect(), {changes: isJournalOff() ? 'unrecorded' : 'recorded'});
    this.render(health);
    const {address, database, version = null, role, latency, cluster, name = null, store = null} = health;
    return {
      healthy: true,
      ...{address, database, version, role},
      latency_ms: Number(latency.toFixed(3)),
      cluster: cluster === undefined ? null : {primaries: cluster.primaries, replicas: cluster.replicas},
      can_change: health.changeProblem === undefined,
      context: name,
      store,
      protected: this.guard.isProtected(health),
    };
  }

  private render({address, database, version, role, latency, cluster, changeProblem, name, store}: Health): void {
    this.print(
      '✓ Redis connection healthy',
      `Address: ${address}${database === 0 ? '' : ` db ${database}`}`,
      ...(name === undefined ? [] : [`Context: ${name}${this.guard.isProtected({}) ? ' (protected)' : ''}`]),
      ...(store === undefined ? [] : [`Store:   ${store} (protected)`]),
      `Version: ${version ?? 'unknown'}`,
      `Role:    ${role}`,
      `Latency: ${latency.toFixed(1)} ms`,
    );
    if (changeProblem !== undefined) this.warnAll([changeProblem]);
    if (cluster === undefined) return;
    this.print(`Cluster: ${cluster.primaries} primaries, ${cluster.replicas} replicas`);
    this.warnAll([
      'On a Cluster a change is atomic for each key, and for a session only where its ID has a {hash tag}; the journal gets its entry before.',
      'The gateway cannot run on a Cluster.',
    ]);
  }
}
