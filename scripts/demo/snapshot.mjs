import {readFileSync} from 'node:fs';

const FILE = new URL('../../fixtures/gateway-snapshot.json', import.meta.url);

/** The dumped keys of a running gateway's Redis. */
export function readSnapshot() {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

/** Writes the dump as if it had been made at `now`: every key keeps the remaining life that it then had. */
export async function loadSnapshot(redis, {now = new Date()} = {}) {
  const transaction = redis.multi();
  for (const {key, type, ttl_ms: ttl, value} of readSnapshot()) {
    if (type === 'list') transaction.rPush(key, value);
    else transaction.set(key, isFreezeEnd(key) ? gatewayTime(now.getTime() + ttl) : value);
    if (ttl !== null) transaction.pExpire(key, ttl);
  }
  await transaction.exec();
}

function isFreezeEnd(key) {
  return key.startsWith('anomaly:') && key.endsWith(':frozen_until');
}

/** UTC without an offset and with microseconds, as Python's `datetime.utcnow().isoformat()` writes it. */
function gatewayTime(milliseconds) {
  return new Date(milliseconds).toISOString().replace('Z', '000');
}
