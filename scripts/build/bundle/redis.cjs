// The part of `redis` that src uses. The package itself re-exports @redis/client with its clusters, Sentinels and pools,
// and four packages for modules of Redis: 30 million instructions of a start of 187.
exports.RedisClient = require('../../../node_modules/@redis/client/dist/lib/client').default;
exports.ErrorReply = require('../../../node_modules/@redis/client/dist/lib/errors').ErrorReply;
exports.RESP_TYPES = require('../../../node_modules/@redis/client/dist/lib/RESP/decoder').RESP_TYPES;
