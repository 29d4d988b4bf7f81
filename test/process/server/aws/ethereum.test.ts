import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { CreateKeyCommand, GetPublicKeyCommand, SignCommand } from "@aws-sdk/client-kms";
import { Common, Mainnet } from "@ethereumjs/common";
import { createFeeMarket1559Tx } from "@ethereumjs/tx";
import { createAddressFromString, publicToAddress } from "@ethereumjs/util";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { AwsServer } from "./aws-server.ts";

/** Wallets over KMS do this: ECDSA's `s` and its complement sign the same, and Ethereum takes only the lower one. */
describe("an Ethereum transaction signed through Sign, MessageType DIGEST", () => {
  let server: AwsServer;
  before(async () => {
    server = await AwsServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  it("recovers to the key's address", async () => {
    const made = await server.admin.send(new CreateKeyCommand({ KeySpec: "ECC_SECG_P256K1", KeyUsage: "SIGN_VERIFY" }));
    const KeyId = made.KeyMetadata?.KeyId;
    const { PublicKey } = await server.user.send(new GetPublicKeyCommand({ KeyId }));
    const spki = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: "der", type: "spki" });
    const { x = "", y = "" } = spki.export({ format: "jwk" });
    const point = Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    const address = Buffer.from(publicToAddress(point)).toString("hex");

    for (let nonce = 0; nonce < 8; nonce++) {
      const unsigned = createFeeMarket1559Tx(
        {
          chainId: 1,
          nonce,
          to: createAddressFromString(`0x${"11".repeat(20)}`),
          value: 1n,
          gasLimit: 21_000n,
          maxFeePerGas: 1n,
        },
        { common: new Common({ chain: Mainnet }) },
      );
      const digest = unsigned.getHashedMessageToSign();
      const { Signature } = await server.user.send(
        new SignCommand({ KeyId, Message: digest, MessageType: "DIGEST", SigningAlgorithm: "ECDSA_SHA_256" }),
      );
      const given = secp256k1.Signature.fromBytes(Signature ?? new Uint8Array(), "der");
      const { n } = secp256k1.Point.CURVE();
      const s = given.s > n / 2n ? n - given.s : given.s;
      const senders = [0n, 1n].flatMap((parity) => {
        try {
          return [unsigned.addSignature(parity, given.r, s).getSenderAddress().toString()];
        } catch {
          return [];
        }
      });
      assert.ok(senders.includes(`0x${address}`), `${senders.join(" ")} include 0x${address}`);
    }
  });
});
