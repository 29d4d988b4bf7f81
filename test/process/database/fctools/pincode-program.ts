/** Prints, as JSON, the pincode that the environment handed over, and whether any of it is left in this process's surroundings. */
import { readFileSync } from "node:fs";
import { takeEnvironmentPincode } from "../../../../src/database/environment-pincode.ts";

const startedAs = process.pid;
using pincode = await takeEnvironmentPincode();
const again = await takeEnvironmentPincode();
const text = pincode?.expose((bytes) => bytes.toString("hex")) ?? null;
process.stdout.write(
  JSON.stringify({
    pincode: text,
    again: again === undefined,
    environment: readFileSync("/proc/self/environ", "latin1"),
    variables: Object.keys(process.env).filter((name) => name.includes("PINCODE")),
    arguments: process.argv.slice(2),
    options: process.execArgv,
    pid: startedAs,
  }),
);
