import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { ReEncrypted, ReEncryptionOperations, ReEncryptionSide } from "../contract/cryptography.ts";
import { type Core, checkOnKey, performOnKey, requestAliasOf } from "../core.ts";
import { DeviceAnswers } from "../device-answers.ts";
import { CustodyError } from "../errors.ts";
import { mustExist } from "../key-states.ts";
import { mustAllow, specifiedDeviceKey } from "../key-use.ts";
import type { Caller } from "../service.ts";
import type { KeyRecord } from "../state/records.ts";
import { encryptTo } from "./asymmetric.ts";
import {
  boxOf,
  checkContext,
  dataKeySubject,
  destinationDetail,
  openDataKey,
  refuseUnreadable,
  sealDataKey,
} from "./data.ts";

type Source = ReEncryptionSide & { readonly key?: string };
type Destination = ReEncryptionSide & { readonly key: string };

interface Opened {
  readonly plaintext: SecretBuffer;
  readonly materialId: string | undefined;
}

interface Sealed {
  readonly ciphertext: Buffer;
  readonly materialId: string | undefined;
}

/** Re-encryption between any two keys of one suite, symmetric or not. */
export class ReEncryption implements ReEncryptionOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async reencrypt(
    caller: Caller,
    input: { readonly ciphertext: Buffer; readonly from: Source; readonly to: Destination },
  ): Promise<ReEncrypted> {
    const { ciphertext, from, to } = input;
    checkSide(from);
    checkSide(to);
    const box = from.algorithm === "SYMMETRIC_DEFAULT" ? boxOf(ciphertext) : undefined;
    const reference = from.key ?? box?.header.keyId;
    if (reference === undefined) return refuseUnreadable(this.#core, caller, "kms:ReEncryptFrom", from.context);
    const factsOf = (key: KeyRecord) => ({ reEncryptOnSameKey: this.#core.directory.find(to.key).id === key.id });
    const subject = {
      ...dataKeySubject("kms:ReEncryptFrom", { key: reference, context: from.context }, {}),
      facts: factsOf,
    };
    using answers = new DeviceAnswers();
    return await performOnKey(this.#core, caller, subject, async (key, now) => {
      const destination = this.#core.directory.find(to.key);
      subject.detail = destinationDetail(destination, from.context, to.context, "asked for");
      checkOnKey(this.#core, to.key, {
        caller,
        action: "kms:ReEncryptTo",
        now,
        key: destination,
        context: to.context,
        facts: factsOf(key),
        ...requestAliasOf(this.#core, to.key),
      });
      mustExist(destination);
      const opened = await this.#open(key, from, ciphertext, answers);
      using plaintext = opened.plaintext;
      if (destination.suite !== key.suite)
        throw new CustodyError(
          "INPUT_INVALID",
          `a key of suite ${key.suite} is not re-encrypted into suite ${destination.suite}`,
        );
      const sealed = await this.#seal(destination, to, plaintext, answers);
      subject.detail = destinationDetail(destination, from.context, to.context, "done");
      return {
        value: {
          ciphertext: sealed.ciphertext,
          fromKeyId: key.id,
          toKeyId: destination.id,
          fromMaterialId: opened.materialId,
          toMaterialId: sealed.materialId,
        },
      };
    });
  }

  async #open(
    key: KeyRecord,
    { algorithm, context }: Source,
    ciphertext: Buffer,
    answers: DeviceAnswers,
  ): Promise<Opened> {
    if (algorithm === "SYMMETRIC_DEFAULT") return openDataKey(this.#core, key, boxOf(ciphertext), context, answers);
    mustAllow(key, "encrypt", algorithm);
    const plaintext = await this.#core.devices.use(key, (device) =>
      device.decrypt(specifiedDeviceKey(key), algorithm, ciphertext),
    );
    if (plaintext === undefined) throw new CustodyError("WRAP_REFUSED");
    return { plaintext, materialId: undefined };
  }

  async #seal(
    key: KeyRecord,
    { algorithm, context }: Destination,
    plaintext: SecretBuffer,
    answers: DeviceAnswers,
  ): Promise<Sealed> {
    if (algorithm === "SYMMETRIC_DEFAULT") {
      const { wrapped, materialId } = await sealDataKey(this.#core, key, context, plaintext, answers);
      return { ciphertext: wrapped, materialId };
    }
    mustAllow(key, "encrypt", algorithm);
    return { ciphertext: encryptTo(key, algorithm, plaintext), materialId: undefined };
  }
}

function checkSide({ algorithm, context }: ReEncryptionSide): void {
  checkContext(context);
  if (algorithm !== "SYMMETRIC_DEFAULT" && Object.keys(context).length > 0)
    throw new CustodyError("INPUT_INVALID", `${algorithm} takes no context`);
}
