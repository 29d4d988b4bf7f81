import { publicKeyOf } from "../../crypto/curve.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity } from "./ec-identity.ts";
import type { KeyFormat } from "./format.ts";

/** A secp256k1 scalar as 32 bare bytes. Any 32 bytes look like one, so the format must be named. */
export const rawSecp256k1: KeyFormat = {
  name: "raw-secp256k1",
  writtenBy: "programs that keep the 32 bytes of a secp256k1 key bare",
  owners: ["any"],
  detected: false,
  readPublicIdentity(file) {
    try {
      return ecIdentity("secp256k1", publicKeyOf("secp256k1", file));
    } catch (cause) {
      throw new NodeError("KEY_FILE_INVALID", "the file is not the 32 bytes of a secp256k1 key", { cause });
    }
  },
};

/** Any secret without a public half: a password, a token, a symmetric key. The box alone authenticates it. */
export const opaque: KeyFormat = {
  name: "opaque",
  writtenBy: "any program: a secret without a public half",
  owners: ["any"],
  detected: false,
  readPublicIdentity(file) {
    if (file.byteLength === 0) throw new NodeError("KEY_FILE_INVALID", "the file is empty");
    return { algorithm: "none" };
  },
};
