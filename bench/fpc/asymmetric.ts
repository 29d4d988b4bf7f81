/**
 * Counts asymmetric operations and their processor time wherever in this process they are called, and rows that are read of a
 * peer's state: to be imported before what is measured. Operations on other threads (key generation) are not counted.
 */
import crypto, { X509Certificate } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { StatementSync } from "node:sqlite";

export interface Spent {
  readonly operations: number;
  readonly cpuUs: number;
}

export interface Counted {
  readonly asymmetric: ReadonlyMap<string, Spent>;
  readonly rowsRead: number;
}

let spent = new Map<string, Spent>();
let rowsRead = 0;

/** The thread's processor time so far, in microseconds. */
function threadCpuUs(): number {
  // Linux brings a running thread's time up to date where the whole process's is asked for, and else at a tick of its clock.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function counted<This, Args extends unknown[], Result>(
  name: string,
  run: (this: This, ...args: Args) => Result,
): (this: This, ...args: Args) => Result {
  return function (this: This, ...args: Args): Result {
    const before = threadCpuUs();
    try {
      return run.apply(this, args);
    } finally {
      const { operations, cpuUs } = spent.get(name) ?? { operations: 0, cpuUs: 0 };
      spent.set(name, { operations: operations + 1, cpuUs: cpuUs + threadCpuUs() - before });
    }
  };
}

const replaced = {
  "P-256 sign": "sign",
  "P-256 verify": "verify",
  "RSA-OAEP encrypt": "publicEncrypt",
  "RSA-OAEP decrypt": "privateDecrypt",
};
for (const [name, method] of Object.entries(replaced)) {
  const original = Reflect.get(crypto, method) as (...args: unknown[]) => unknown;
  Reflect.set(crypto, method, counted(name, original));
}
const verifyCertificate = X509Certificate.prototype.verify;
X509Certificate.prototype.verify = counted("certificate verify", verifyCertificate);
syncBuiltinESMExports();

for (const method of ["get", "all"]) {
  const original = Reflect.get(StatementSync.prototype, method) as (...args: unknown[]) => unknown;
  Reflect.set(StatementSync.prototype, method, function (this: StatementSync, ...args: unknown[]) {
    const found = original.apply(this, args);
    if (found !== undefined) rowsRead += Array.isArray(found) ? found.length : 1;
    return found;
  });
}

/** What was counted since the last call. */
export function takeCounted(): Counted {
  const taken = { asymmetric: spent, rowsRead };
  spent = new Map();
  rowsRead = 0;
  return taken;
}
