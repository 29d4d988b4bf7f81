import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { publicKeyOf } from "../../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { sm2Decrypt } from "../../../../../src/crypto/sm2-encryption.ts";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import type { KeyHolder } from "../../../../../src/volume/key-holder.ts";
import { connectSealfsControl } from "../../../../../src/volume/sealfs/control/client.ts";
import type { SealfsControl } from "../../../../../src/volume/sealfs/control/control.ts";
import type { OpenOptions, OpenVolume, ZoneOptions } from "../../../../../src/volume/volume.ts";
import { sealfsServerPid } from "../../engines/sealfs-server-pid.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
export const skip: string | false = missing === undefined ? false : `this machine has no ${missing}`;

/** SM2 master keys, and holders of them that count what they are asked. */
export class MasterKeys {
  asked = 0;
  readonly #scalars = new Map<string, SecretBuffer>();

  make(): Buffer {
    const scalar = SecretBuffer.random(32);
    const publicKey = publicKeyOf("sm2", scalar);
    this.#scalars.set(publicKey.toString("hex"), scalar);
    return publicKey;
  }

  open(envelope: Buffer, publicKey: Buffer): SecretBuffer {
    const scalar = this.#scalars.get(publicKey.toString("hex"));
    if (scalar === undefined) throw new Error("no such master key");
    return sm2Decrypt(scalar, envelope, "asn1");
  }

  holder(publicKey: Buffer): KeyHolder {
    return {
      publicKey,
      unwrap: async (envelope, forWhom) => {
        this.asked += 1;
        return this.open(envelope, forWhom);
      },
    };
  }
}

/** A volume in a folder of its own, closed and removed when the test ends. */
export class ServedVolume {
  readonly folder: string;
  readonly dataKey: SecretBuffer = SecretBuffer.random(32);
  readonly damage: string[] = [];
  readonly #controls: SealfsControl[] = [];
  #volume: OpenVolume | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(t: TestContext, zones: ZoneOptions): Promise<ServedVolume> {
    const work = mkdtempSync(join(tmpdir(), "strongroom-control-"));
    const served = new ServedVolume(join(work, "volume"));
    t.after(async () => {
      await served.close();
      rmSync(work, { recursive: true, force: true });
    });
    await (await volumeDriver("sealfs")).create({ folder: served.folder }, served.dataKey, { suite: "sm", zones });
    return served;
  }

  async open(options: OpenOptions = {}): Promise<string> {
    const driver = await volumeDriver("sealfs");
    const onDamage = (what: string) => void this.damage.push(what);
    this.#volume = await driver.open({ folder: this.folder }, this.dataKey, { onDamage, ...options });
    return this.#volume.dataPath;
  }

  async control(): Promise<SealfsControl> {
    const control = await connectSealfsControl({ folder: this.folder });
    this.#controls.push(control);
    return control;
  }

  /** Kills the server, and locks what it leaves. */
  async kill(): Promise<void> {
    process.kill(sealfsServerPid(this.folder), "SIGKILL");
    await this.#volume?.lost;
    await this.close();
  }

  async close(): Promise<void> {
    for (const control of this.#controls.splice(0)) await control[Symbol.asyncDispose]();
    await this.#volume?.close({ whenBusy: "cutOff" });
    this.#volume = undefined;
  }
}

export async function resealed(control: SealfsControl): Promise<void> {
  for (let look = 0; look < 600; look += 1) {
    if ((await control.resealing()).state === "idle") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the sealing anew does not come to an end");
}
