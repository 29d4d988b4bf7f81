import { describe } from "node:test";
import { noToken, type OpenChoices, SoftToken } from "../../process/devices/pkcs11/soft-token.ts";
import { deviceContract } from "./device-contract.ts";

function contract(choices: OpenChoices): void {
  deviceContract(async () => {
    const token = new SoftToken();
    const device = await token.open(choices);
    return {
      device,
      async [Symbol.asyncDispose]() {
        await device[Symbol.asyncDispose]();
        token[Symbol.dispose]();
      },
    };
  }, noToken);
}

describe("a PKCS#11 token that wraps by AES-GCM, in sessions with threads of their own", () => {
  contract({ settings: { wrap: "aes-gcm" }, pool: { minSessions: 2, maxSessions: 4 } });
});

describe("a PKCS#11 token that wraps by AES key wrap, in one session", () => {
  contract({ settings: { wrap: "aes-kw" } });
});
