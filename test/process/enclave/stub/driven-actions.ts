import type { Stub } from "../../../../src/enclave/stub/stub.ts";

/** `confirmGeneration` is the import of a proposed one. */
export type DrivenAction =
  | "initEnclave"
  | "generateCCKeys"
  | "exportCCKeys"
  | "importCCKeys"
  | "proposeGeneration"
  | "confirmGeneration"
  | "recover"
  | "discardNeverRegisteredKeys";

/** @param parts - The messages that the action takes */
export async function runAction(stub: Stub, action: DrivenAction, parts: readonly Buffer[]): Promise<Buffer> {
  const [first = Buffer.alloc(0), second = first, third = first, fourth = first] = parts;
  switch (action) {
    case "initEnclave":
      return stub.initEnclave({ ccParams: first, hostParams: second, channelHash: third, trustedLedger: fourth });
    case "generateCCKeys":
      return stub.generateCCKeys();
    case "exportCCKeys":
      return stub.exportCCKeys(first);
    case "importCCKeys":
    case "confirmGeneration":
      return stub.importCCKeys(first);
    case "proposeGeneration":
      return stub.proposeGeneration();
    case "recover":
      return stub.recover();
    case "discardNeverRegisteredKeys":
      await stub.discardNeverRegisteredKeys();
      return Buffer.alloc(0);
  }
}
