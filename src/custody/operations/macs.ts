import { timingSafeEqual } from "node:crypto";
import type { MacAlgorithm, MacOperations } from "../contract/cryptography.ts";
import { type Core, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustAllow, specifiedDeviceKey } from "../key-use.ts";
import type { Caller } from "../service.ts";
import type { KeyRecord } from "../state/records.ts";

const maxMessageBytes = 4096;
const maxMacBytes = 6144;

interface MessageToAuthenticate {
  readonly key: string;
  readonly message: Uint8Array;
  readonly algorithm: MacAlgorithm;
}

/** Message authentication codes, made inside the key's device. */
export class Macs implements MacOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async generate(
    caller: Caller,
    input: MessageToAuthenticate,
  ): Promise<{ readonly keyId: string; readonly mac: Buffer }> {
    checkLength("a message", input.message, maxMessageBytes);
    const subject = {
      action: "kms:GenerateMac",
      reference: input.key,
      detail: { algorithm: input.algorithm },
    } as const;
    return performOnKey(this.#core, caller, { ...subject }, async (key) => ({
      value: { keyId: key.id, mac: await this.#make(key, input) },
    }));
  }

  async verify(
    caller: Caller,
    input: MessageToAuthenticate & { readonly mac: Uint8Array },
  ): Promise<{ readonly keyId: string }> {
    checkLength("a message", input.message, maxMessageBytes);
    checkLength("a MAC", input.mac, maxMacBytes);
    const subject = { action: "kms:VerifyMac", reference: input.key, detail: { algorithm: input.algorithm } } as const;
    return performOnKey(this.#core, caller, { ...subject }, async (key) => {
      const expected = await this.#make(key, input);
      if (expected.byteLength !== input.mac.byteLength || !timingSafeEqual(expected, input.mac))
        throw new CustodyError("MAC_INVALID");
      return { value: { keyId: key.id } };
    });
  }

  #make(key: KeyRecord, { algorithm, message }: MessageToAuthenticate): Promise<Buffer> {
    mustAllow(key, "mac", algorithm);
    return this.#core.devices.use(key, (device) => device.mac(specifiedDeviceKey(key), algorithm, message));
  }
}

function checkLength(what: string, bytes: Uint8Array, most: number): void {
  if (bytes.byteLength < 1 || bytes.byteLength > most)
    throw new CustodyError("INPUT_INVALID", `${what} has 1 to ${most} bytes, got ${bytes.byteLength}`);
}
