import { NodeError } from "../errors.ts";
import { fiscoHsmPinFormat } from "../fisco-hsm-config.ts";
import type { KeyFormat } from "./format.ts";

const maxPinBytes = 256;

/**
 * The PIN of a cipher machine (GM/T 0018), one line. What is handed over is not the PIN but the node's config.ini with the
 * PIN in it: FISCO BCOS's program takes it from nowhere else. The box alone authenticates it.
 */
export const fiscoHsmPin: KeyFormat = {
  name: fiscoHsmPinFormat,
  writtenBy: "strongroom chain build, for FISCO BCOS with a cipher machine",
  owners: ["fisco-sm"],
  detected: false,
  readPublicIdentity(file) {
    const isPin = file.expose((bytes) => {
      const pin = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
      // Readers of config.ini drop blanks around a value.
      const isBare = pin[0] !== 0x20 && pin.at(-1) !== 0x20;
      return isBare && pin.length > 0 && pin.length <= maxPinBytes && !pin.some((byte) => byte < 0x20);
    });
    if (!isPin)
      throw new NodeError(
        "KEY_FILE_INVALID",
        `the file is not a PIN: 1 to ${maxPinBytes} bytes on one line, without blanks around them`,
      );
    return { algorithm: "none" };
  },
};
