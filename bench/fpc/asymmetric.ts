/**
 * Counts asymmetric operations and their processor time wherever in this process they are called: to be imported before what is
 * measured. Operations on other threads (key generation) are not counted.
 */
import crypto, { X509Certificate } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

export interface Spent {
  readonly operations: number;
  readonly cpuUs: number;
}

const spent = new Map<string, Spent>();

/** The thread's processor time so far, in microseconds. */
function threadCpuUs(): number {
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

/** What was spent since the last call, by operation. */
export function takeSpent(): ReadonlyMap<string, Spent> {
  const taken = new Map(spent);
  spent.clear();
  return taken;
}
