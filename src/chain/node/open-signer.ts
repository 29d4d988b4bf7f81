import { closeSync, existsSync, readSync } from "node:fs";
import { isAbsolute } from "node:path";
import { publicKeyOfNodeId } from "../../crypto/curve.ts";
import { maxKeyFileBytes } from "../../crypto/pem.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { calmly } from "../../devices/native/calm-telling.ts";
import type { ChainNodeConfig } from "../build/config-reader.ts";
import { ChainBuildError } from "../build/errors.ts";
import { readHsmPin } from "../build/hsm-settings.ts";
import { readPrivateFile } from "../build/pin-file.ts";
import type { DigestSigner, SigningAlgorithm } from "../ledger/signer.ts";
import { ChainNodeError } from "./errors.ts";
import { SoftSigner } from "./soft-signer.ts";

/** A signer that is open, and ends. */
export interface OpenSigner extends AsyncDisposable {
  readonly signer: DigestSigner;
  /** For the log. */
  readonly description: string;
}

/**
 * Opens the node key where config.ini says that it is: a PEM file (a launch puts a link to the opened sealed file there, or
 * gives it as a descriptor), a cipher machine, or a KMS.
 *
 * @param descriptor - Descriptor of node.pem's content; the file is not looked at then.
 * @throws {ChainNodeError} `CONFIG_UNUSABLE`; {@link DeviceError} of the cipher machine, {@link AwsKmsError} of the KMS,
 *   {@link ChainBuildError} of the file with the PIN or secret.
 */
export async function openSigner(
  { signing, genesis }: Pick<ChainNodeConfig, "signing" | "genesis">,
  descriptor: number | undefined,
  tell: (line: string) => void,
): Promise<OpenSigner> {
  const algorithm: SigningAlgorithm = genesis.smCrypto ? "sm2" : "secp256k1";
  if (signing.kind === "hsm") return openHsm(signing, tell);
  if (signing.kind === "kms") {
    const { openKmsSigner } = await import("./kms-signer.ts");
    return openKmsSigner(signing.kms, algorithm);
  }
  using pem = descriptor === undefined ? readKeyFile(signing.privateKeyPath) : readKeyDescriptor(descriptor);
  const signer = await SoftSigner.ofPem(pem, algorithm);
  return {
    signer,
    description: "a key file",
    [Symbol.asyncDispose]: async () => signer[Symbol.dispose](),
  };
}

async function openHsm(
  { hsm }: Extract<ChainNodeConfig["signing"], { kind: "hsm" }>,
  tell: (line: string) => void,
): Promise<OpenSigner> {
  const { openSdfSigner } = await import("../../devices/sdf/signer.ts");
  const library = hsm.libraries.find((path) => !isAbsolute(path) || existsSync(path)) ?? hsm.libraries[0];
  if (library === undefined) throw new ChainNodeError("CONFIG_UNUSABLE", "no library of the cipher machine is named");
  using pin = hsm.pin === undefined ? undefined : readHsmPin(hsm.pin);
  const card = await openSdfSigner({
    name: "node key",
    library,
    keyIndex: hsm.keyIndex,
    environment: hsm.environment,
    ...(hsm.profile === undefined ? {} : { profile: hsm.profile }),
    ...(pin === undefined ? {} : { pin: { secret: pin } }),
    tell: calmly(({ event }, withheld) => tell(`[HSM]${event}${withheld === 0 ? "" : `,withheld=${withheld}`}`)),
  });
  const publicKey = Buffer.concat([Buffer.of(0x04), card.publicKey]);
  return {
    signer: { algorithm: "sm2", publicKey, sign: (digest) => card.sign(digest) },
    description: `key ${hsm.keyIndex} of ${library}`,
    [Symbol.asyncDispose]: () => card.close(),
  };
}

/**
 * The node's place in the genesis's list of sealers.
 *
 * @throws {ChainNodeError} `SIGNER_MISMATCH` for a key that is not there.
 */
export function sealerIndex({ genesis }: Pick<ChainNodeConfig, "genesis">, signer: DigestSigner): number {
  const curve = genesis.smCrypto ? "sm2" : "secp256k1";
  const index = genesis.sealers.findIndex(({ nodeId }) => publicKeyOfNodeId(curve, nodeId).equals(signer.publicKey));
  if (index < 0)
    throw new ChainNodeError(
      "SIGNER_MISMATCH",
      `the signing key ${signer.publicKey.toString("hex", 1, 9)}… is none of the ${genesis.sealers.length} in config.genesis: check the key file, key_index, or kms_key`,
    );
  return index;
}

function readKeyFile(path: string): SecretBuffer {
  try {
    return readPrivateFile(path, { holds: "the node's private key", maxBytes: maxKeyFileBytes });
  } catch (cause) {
    if (!(cause instanceof ChainBuildError) || cause.code === "FILE_UNSAFE") throw cause;
    throw new ChainNodeError(
      "CONFIG_UNUSABLE",
      `the node key ${path} cannot be read; if it is sealed, start the node by \`strongroom node launch\``,
      cause,
    );
  }
}

function readKeyDescriptor(descriptor: number): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(maxKeyFileBytes + 1);
  try {
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got)
      got = readSync(descriptor, bytes, length, bytes.length - length, null);
    closeSync(descriptor);
    return SecretBuffer.copyOf(bytes.subarray(0, length));
  } catch (cause) {
    throw new ChainNodeError("CONFIG_UNUSABLE", `descriptor ${descriptor} of the node key cannot be read`, cause);
  } finally {
    bytes.fill(0);
  }
}
