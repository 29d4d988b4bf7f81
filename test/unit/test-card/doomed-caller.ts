/**
 * A process that may not survive its card: `doomed-caller.ts LIBRARY PLAN`. Prints one line per step done.
 * Plans: `sign` signs three times; `two-at-once` makes two calls on one session; `open-beside` opens a session beside a call;
 * `in-parallel` makes a call on each of two sessions.
 */
import { SdfCaller } from "../../sdf-card/caller.ts";

const [library = "", plan = ""] = process.argv.slice(2);
const sdf = new SdfCaller(library);
const { device } = sdf.openDevice();
const session = sdf.openSession(device);
const second = sdf.openSession(device);
const digest = Buffer.alloc(32, 7);
sdf.takeRight(session, 1, "12345678");
console.log("ready");

const random = (of: bigint): Promise<number> => sdf.callAside("SDF_GenerateRandom", of, 16, Buffer.alloc(16));
const plans: Readonly<Record<string, () => Promise<readonly number[]>>> = {
  sign: async () => [1, 2, 3].map(() => sdf.sign(session, 1, digest).code),
  "two-at-once": () => Promise.all([random(session), random(session)]),
  "open-beside": () => Promise.all([random(session), sdf.callAside("SDF_OpenSession", device, Buffer.alloc(8))]),
  "in-parallel": () => Promise.all([random(session), random(second)]),
};
const codes = await (plans[plan] ?? (() => Promise.reject(new Error(`no plan ${plan}`))))();
console.log(`done ${codes.join(" ")}`);
