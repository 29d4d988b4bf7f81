import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** Why there can be no TPM here, or false. */
export function noSwtpm(): string | false {
  const missing = ["swtpm", "tpm2_quote"].filter((tool) => spawnSync("which", [tool]).status !== 0);
  return missing.length === 0 ? false : `${missing.join(" and ")} not installed (script/setup --test)`;
}

/** A software TPM of its own, which keeps its seeds in a folder. */
export class Swtpm implements AsyncDisposable {
  readonly #folder: string;
  readonly #socket: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#socket = join(folder, "tpm");
  }

  static async start(folder: string): Promise<Swtpm> {
    const tpm = new Swtpm(folder);
    await mkdir(join(folder, "state"), { recursive: true });
    await tpm.#start();
    return tpm;
  }

  get tcti(): string {
    return `swtpm:path=${this.#socket}`;
  }

  /** As when the machine is started again: the PCRs are empty, the seeds are as they were. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  /** What a host's administrator may do at any time. */
  extend(pcr: number, digest: string): void {
    const { status, stderr } = spawnSync("tpm2_pcrextend", [`${pcr}:sha256=${digest}`], {
      env: { ...process.env, TPM2TOOLS_TCTI: this.tcti },
    });
    if (status !== 0) throw new Error(`tpm2_pcrextend: ${stderr.toString()}`);
  }

  async #start(): Promise<void> {
    const [state, control] = [join(this.#folder, "state"), `${this.#socket}.ctrl`];
    const flags = "not-need-init,startup-clear";
    const args = ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--flags", flags];
    const sockets = ["--server", `type=unixio,path=${this.#socket}`, "--ctrl", `type=unixio,path=${control}`];
    this.#process = spawn("swtpm", [...args, ...sockets], { stdio: "ignore" });
    for (let tries = 0; !isListening(this.#socket) || !isListening(control); tries++) {
      if (tries > 3000) throw new Error("swtpm does not listen");
      await wait(20);
    }
  }

  async #stop(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const ended = once(running, "exit");
    running.kill("SIGTERM");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

/** The file of a socket is there before somebody listens on it: 10000 among its flags says that (`/proc/net/unix`). */
function isListening(path: string): boolean {
  return readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .some((line) => line.endsWith(` ${path}`) && line.includes(" 00010000 "));
}
