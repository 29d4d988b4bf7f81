import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { maxKeyFileBytes } from "../../crypto/pem.ts";
import { readPrivateFile } from "../build/pin-file.ts";
import type { DigestSigner } from "../ledger/signer.ts";
import { SoftSigner } from "../node/soft-signer.ts";
import { readSdkPin, type SdkConfig } from "../sdk-config.ts";
import { ChainClientError } from "./errors.ts";

/** An account that signs, and ends. */
export interface OpenAccount extends AsyncDisposable {
  readonly account: DigestSigner;
}

/**
 * Opens the account of a client's config.toml: the key `hsmKeyIndex` of the cipher machine where `enableHsm` is true, else the
 * PEM file `accountFilePath`.
 *
 * @throws {ChainClientError} `ACCOUNT_UNUSABLE` when neither is named; `DeviceError` of the machine; `ChainBuildError` of the file or
 *   of the PIN's (`FILE_UNUSABLE`; `FILE_UNSAFE` when others may read it); `CryptoError` of what the file holds.
 */
export async function openAccount(config: SdkConfig): Promise<OpenAccount> {
  const { hsm, accountFile, smCrypto } = config;
  if (hsm === undefined) {
    if (accountFile === undefined)
      throw new ChainClientError(
        "ACCOUNT_UNUSABLE",
        `${config.file} names neither a cipher machine nor an account file`,
      );
    using pem = readPrivateFile(accountFile, { holds: "an account's private key", maxBytes: maxKeyFileBytes });
    const account = await SoftSigner.ofPem(pem, smCrypto ? "sm2" : "secp256k1");
    return { account, [Symbol.asyncDispose]: async () => account[Symbol.dispose]() };
  }
  const { openSdfSigner } = await import("../../devices/sdf/signer.ts");
  const library = hsm.libraries.find((path) => !isAbsolute(path) || existsSync(path)) ?? hsm.libraries[0];
  if (library === undefined) throw new ChainClientError("ACCOUNT_UNUSABLE", `${config.file} names no library`);
  using pin = readSdkPin(config);
  const card = await openSdfSigner({
    name: "account",
    library,
    keyIndex: hsm.keyIndex,
    ...(hsm.profile === undefined ? {} : { profile: hsm.profile }),
    ...(pin === undefined ? {} : { pin: { secret: pin } }),
  });
  const publicKey = Buffer.concat([Buffer.of(0x04), card.publicKey]);
  return {
    account: { algorithm: "sm2", publicKey, sign: (digest) => card.sign(digest) },
    [Symbol.asyncDispose]: () => card.close(),
  };
}
