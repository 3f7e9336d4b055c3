// In place of the global of that name, which loads thirteen modules of Node.js when it is first asked for: 7 million
// instructions of the 147 of a TAB that asks Redis, 2 of the 187 of a command. Counts from another moment, and in all
// files of the bundle from the same.
export const performance = {
  now() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
};
