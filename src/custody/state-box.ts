import { type BoxHeader, deviceAlgorithms } from "../crypto/sealed-box.ts";
import { suites } from "../crypto/suite.ts";
import type { RootKey } from "../devices/root-key.ts";

/** The header of a box for the key manager's own state, sealed under a key of its root: docs/formats.md, box type `state`. */
export function stateBoxHeader(root: Pick<RootKey, "id" | "suiteName">): BoxHeader {
  return {
    suite: suites[root.suiteName],
    type: "state",
    keyId: root.id,
    keyVersion: 1,
    deviceAlgorithm: deviceAlgorithms.root,
    deviceBlob: Buffer.alloc(0),
  };
}
