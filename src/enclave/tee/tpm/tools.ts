import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError } from "../../errors.ts";

/** No command of a TPM takes longer; the slowest make keys on hardware of 2014. */
const commandMs = 60_000;
const maxOutputBytes = 65_536;

/** What they load stays in the TPM beside the context file that they write, from which the next command loads it again. */
const leavesKeys: ReadonlySet<string> = new Set(["tpm2_createprimary", "tpm2_load"]);

/** What a tool gave out. The caller wipes `stdout` where it is secret. */
export interface ToolResult {
  readonly ok: boolean;
  readonly stdout: Buffer;
  /** What it said of a failure. */
  readonly complaint: string;
}

/**
 * Runs the programs of tpm2-tools 5.x, one at a time. Secrets go in by standard input and come out by standard output, never by
 * an argument or a file; what lies in files, contexts and public parts, lies in a folder of this process's alone.
 */
export class TpmTools {
  readonly #tcti: string;
  #last: Promise<unknown> = Promise.resolve();

  /** @param tcti - Where the TPM is, as tpm2-tools have it: `device:/dev/tpmrm0`, `swtpm:path=/run/tpm` */
  constructor(tcti: string) {
    this.#tcti = tcti;
  }

  /**
   * Lends a folder for the commands of one piece of work, which no other of this process interrupts. What the work left in the
   * TPM is flushed after it: a TPM without a resource manager has room for three keys and three sessions.
   */
  async work<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      const folder = await mkdtemp(join(tmpdir(), "strongroom-tpm-"));
      try {
        return await use(folder);
      } finally {
        await rm(folder, { recursive: true, force: true });
        for (const what of ["--transient-object", "--loaded-session"]) await this.#start("tpm2_flushcontext", [what]);
      }
    });
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  /** @throws EnclaveError SETTINGS_INVALID: the tool is not there, the TPM does not answer, or refuses */
  async run(tool: string, args: readonly string[], input?: SecretBuffer): Promise<Buffer> {
    const { ok, stdout, complaint } = await this.attempt(tool, args, input);
    if (!ok) throw new EnclaveError("SETTINGS_INVALID", `${tool} failed on the TPM ${this.#tcti}: ${complaint}`);
    return stdout;
  }

  /**
   * As {@link run}, for commands whose refusal means something. What the TPM only warns of (no room, try again) means nothing.
   *
   * @throws EnclaveError SETTINGS_INVALID: the tool is not there, or the TPM has no room
   */
  async ask(tool: string, args: readonly string[]): Promise<ToolResult> {
    const result = await this.attempt(tool, args);
    if (!result.ok && /tpm:warn|tcti:|No such file/.test(result.complaint))
      throw new EnclaveError("SETTINGS_INVALID", `${tool} failed on the TPM ${this.#tcti}: ${result.complaint}`);
    return result;
  }

  /** @throws EnclaveError SETTINGS_INVALID: the tool is not there */
  async attempt(tool: string, args: readonly string[], input?: SecretBuffer): Promise<ToolResult> {
    const result = await this.#start(tool, args, input);
    if (leavesKeys.has(tool)) await this.#start("tpm2_flushcontext", ["--transient-object"]);
    return result;
  }

  async #start(tool: string, args: readonly string[], input?: SecretBuffer): Promise<ToolResult> {
    const { promise, resolve, reject } = Promise.withResolvers<ToolResult>();
    const env = { PATH: process.env.PATH ?? "/usr/bin", TPM2TOOLS_TCTI: this.#tcti, TSS2_LOG: "all+NONE" };
    const child = spawn(tool, args, { env, stdio: ["pipe", "pipe", "pipe"], timeout: commandMs });
    const [out, err] = [collect(child.stdout), collect(child.stderr)];
    child.on("error", (cause) => {
      const hint = "install Debian's tpm2-tools";
      reject(new EnclaveError("SETTINGS_INVALID", `${tool} cannot be started: ${hint}`, { cause }));
    });
    child.on("close", (code) => {
      const complaint = err().toString("utf8").trim().replaceAll("\n", "; ");
      resolve({ ok: code === 0, stdout: out(), complaint });
    });
    // A tool that ends before it has read its input says why by its exit code.
    child.stdin.on("error", () => undefined);
    if (input === undefined) child.stdin.end();
    else {
      const bytes = input.expose((secret) => Buffer.from(secret));
      child.stdin.end(bytes, () => bytes.fill(0));
    }
    return await promise;
  }
}

/** Gathers a stream; the parts are wiped when they are put together, so that one copy is left. */
function collect(stream: NodeJS.ReadableStream): () => Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  stream.on("data", (part: Buffer) => {
    length += part.length;
    if (length <= maxOutputBytes) parts.push(part);
  });
  return () => {
    const whole = Buffer.concat(parts);
    for (const part of parts) part.fill(0);
    return whole;
  };
}
