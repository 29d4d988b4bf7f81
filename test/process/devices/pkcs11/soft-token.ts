/** A token of Debian's SoftHSM in a folder of its own. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { NativeDevice } from "../../../../src/devices/native/native-device.ts";
import { Pkcs11Device } from "../../../../src/devices/pkcs11/device.ts";
import { type Pkcs11Options, pkcs11NativeOptions } from "../../../../src/devices/pkcs11/native-options.ts";

export const softHsmLibrary = "/usr/lib/softhsm/libsofthsm2.so";
const addon = createRequire(import.meta.url)
  .resolve("pkcs11js/package.json")
  .replace("package.json", "build/Release/pkcs11.node");

/** Why there is no token to test with, or false. */
export const noToken: string | false = !existsSync(softHsmLibrary)
  ? "SoftHSM is not installed: apt-get install softhsm2"
  : !existsSync(addon)
    ? "pkcs11js is not compiled: script/setup"
    : false;

export type OpenChoices = Partial<Omit<Pkcs11Options, "settings" | "pin">> & {
  readonly settings?: Partial<Pkcs11Options["settings"]>;
  readonly pin?: string;
};

export class SoftToken implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "strongroom-token-"));
  readonly label = "node-1";
  /** Digits of our own making, so that they can be looked for. */
  readonly pin: string = `7${BigInt(`0x${randomBytes(8).toString("hex")}`)}`.slice(0, 16);
  readonly environment: Readonly<Record<string, string>>;

  constructor() {
    const configuration = join(this.folder, "softhsm2.conf");
    mkdirSync(join(this.folder, "tokens"), { mode: 0o700 });
    writeFileSync(
      configuration,
      `directories.tokendir = ${join(this.folder, "tokens")}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
    );
    this.environment = { SOFTHSM2_CONF: configuration };
    this.addToken(this.label);
  }

  addToken(label: string): void {
    const pins = ["--pin", this.pin, "--so-pin", "87654321"];
    this.#run("softhsm2-util", ["--init-token", "--free", "--label", label, ...pins]);
  }

  /** OpenSC's tool on this token, logged in. */
  pkcs11Tool(...args: string[]): string {
    return this.#run("pkcs11-tool", [
      ...["--module", softHsmLibrary, "--token-label", this.label, "--login", "--pin", this.pin],
      ...args,
    ]);
  }

  /** A P-256 key pair that may derive, but not sign: no tool makes one, since tokens allow what is not forbidden. */
  makePairThatSignsNothing(id: string, label: string): void {
    const script = join(import.meta.dirname, "make-unsigning-pair.ts");
    this.#run(process.execPath, [script, softHsmLibrary, this.label, this.pin, id, label]);
  }

  options({ settings, pin, ...rest }: OpenChoices = {}): Parameters<typeof NativeDevice.open>[0] {
    return pkcs11NativeOptions({
      settings: { library: softHsmLibrary, tokenLabel: this.label, ...settings },
      pin: { secret: SecretBuffer.take(Buffer.from(pin ?? this.pin)) },
      pool: { maxSessions: 1 },
      ...rest,
      environment: { ...this.environment, ...rest.environment },
    });
  }

  async open(choices?: OpenChoices): Promise<Pkcs11Device> {
    return new Pkcs11Device(await NativeDevice.open(this.options(choices)));
  }

  /** As when a token is pulled out: its objects and itself are gone. */
  remove(): void {
    rmSync(join(this.folder, "tokens"), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #run(command: string, args: readonly string[]): string {
    return execFileSync(command, args, {
      env: { ...process.env, ...this.environment },
      encoding: "utf8",
      stdio: "pipe",
    });
  }
}
