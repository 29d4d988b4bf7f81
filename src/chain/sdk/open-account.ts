import { existsSync, readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
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
 * @throws {ChainClientError} `ACCOUNT_UNUSABLE` when neither is named, or the file can't be read; `DeviceError` of the machine,
 *   `ChainBuildError` of its PIN, `CryptoError` of the file.
 */
export async function openAccount(config: SdkConfig): Promise<OpenAccount> {
  const { hsm, accountFile, smCrypto } = config;
  if (hsm === undefined) {
    if (accountFile === undefined)
      throw new ChainClientError(
        "ACCOUNT_UNUSABLE",
        `${config.file} names neither a cipher machine nor an account file`,
      );
    using pem = readAccountFile(accountFile);
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

function readAccountFile(path: string): SecretBuffer {
  try {
    return SecretBuffer.take(readFileSync(path));
  } catch (cause) {
    throw new ChainClientError("ACCOUNT_UNUSABLE", `the account file ${path} cannot be read`, { cause });
  }
}
