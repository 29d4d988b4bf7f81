/** The module of faulty-module.c, compiled into a folder of a test's own. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { noToken, type OpenChoices } from "./soft-token.ts";

const source = join(import.meta.dirname, "faulty-module.c");

/** Why the module cannot be had, or false. */
export const noFaultyModule: string | false =
  noToken || (spawnSync("gcc", ["--version"]).status === 0 ? false : "gcc is not installed");

export class FaultyModule {
  readonly library: string;
  readonly #fault: string;
  readonly #logins: string;

  constructor(folder: string) {
    this.library = join(folder, "faulty.so");
    this.#fault = join(folder, "fault");
    this.#logins = join(folder, "logins");
    const headers = join(dirname(createRequire(import.meta.url).resolve("pkcs11js/package.json")), "includes/pkcs11");
    if (!existsSync(this.library))
      execFileSync("gcc", ["-shared", "-fPIC", "-O1", "-w", `-I${headers}`, "-o", this.library, source, "-ldl"]);
    writeFileSync(this.#logins, "");
    this.set("none");
  }

  /** What goes wrong from the next call on. */
  set(fault: string): void {
    writeFileSync(this.#fault, `${fault}\n`);
  }

  /** How often a PIN was sent to the token. */
  get logins(): number {
    return readFileSync(this.#logins, "utf8").split("\n").length - 1;
  }

  choices({ settings, environment, ...rest }: OpenChoices = {}): OpenChoices {
    return {
      ...rest,
      settings: { library: this.library, ...settings },
      environment: { FAULTY_MODULE_FAULT: this.#fault, FAULTY_MODULE_LOGINS: this.#logins, ...environment },
    };
  }
}
