import { closeSync, constants, openSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { VolumeError } from "./errors.ts";
import { loadLibc, SystemCallError } from "./libc.ts";
import { mountOf } from "./mounts.ts";

/** Request numbers and sizes of linux/fscrypt.h, for the architectures with the generic ioctl encoding (x86-64, arm64). */
const setPolicyRequest = 0x800c6613;
const getPolicyExRequest = 0xc0096616;
const addKeyRequest = 0xc0506617;
const removeKeyRequest = 0xc0406618;
const removeKeyAllUsersRequest = 0xc0406619;
const keyStatusRequest = 0xc080661a;

const identifierBytes = 16;
const policyBytes = 24;
const addKeyBytes = 80;
const removeKeyBytes = 64;
const keyStatusBytes = 128;
const identifierOffset = 8;
const keyBySpecIdentifier = 2;
const policyVersion = 2;
/** Contents AES-256-XTS, names AES-256-CTS, names padded to multiples of 32 bytes. */
const contentsMode = 1;
const namesMode = 4;
const padNames32 = 3;
const removalFilesBusy = 1;

/** `present`: files open and read; `absent`: locked; `draining`: removed, but files opened before are still in use. */
export type KernelKeyStatus = "absent" | "present" | "draining";

/** Adds a key to the file system's keyring; returns its 16-byte identifier, a hash of the key that the kernel computes. */
export async function addKernelKey(folder: string, key: SecretBuffer): Promise<Buffer> {
  const argument = Buffer.allocUnsafeSlow(addKeyBytes + key.byteLength).fill(0);
  try {
    argument.writeUInt32LE(keyBySpecIdentifier, 0);
    argument.writeUInt32LE(key.byteLength, 40);
    key.expose((bytes) => argument.set(bytes, addKeyBytes));
    await onFolder(folder, addKeyRequest, argument);
    return Buffer.from(argument.subarray(identifierOffset, identifierOffset + identifierBytes));
  } finally {
    argument.fill(0);
  }
}

/**
 * Takes a key out of the file system's keyring and drops what the kernel cached of its files. As root for all users.
 *
 * @param folder - A plain folder of the same file system: a descriptor of ours on the encrypted folder itself would
 *   count as a file in use.
 * @returns False when files opened before are still in use: the key itself is gone, those files stay readable.
 */
export async function removeKernelKey(folder: string, identifier: Buffer): Promise<boolean> {
  const argument = keyArgument(removeKeyBytes, identifier);
  const request = process.getuid?.() === 0 ? removeKeyAllUsersRequest : removeKeyRequest;
  try {
    await onFolder(folder, request, argument);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "ENOKEY") return true;
    throw error;
  }
  return (argument.readUInt32LE(40) & removalFilesBusy) === 0;
}

/** What the kernel knows of a key by its identifier, on the file system of `folder`. */
export async function kernelKeyStatus(folder: string, identifier: Buffer): Promise<KernelKeyStatus> {
  const argument = keyArgument(keyStatusBytes, identifier);
  await onFolder(folder, keyStatusRequest, argument);
  const status = argument.readUInt32LE(64);
  return status === 2 ? "present" : status === 3 ? "draining" : "absent";
}

/** Makes an empty folder encrypted under the key of this identifier, which has been added. */
export async function setFolderPolicy(folder: string, identifier: Buffer): Promise<void> {
  const policy = Buffer.alloc(policyBytes);
  policy.set([policyVersion, contentsMode, namesMode, padNames32], 0);
  policy.set(identifier, identifierOffset);
  await onFolder(folder, setPolicyRequest, policy);
}

export interface FolderPolicy {
  readonly identifier: Buffer;
  /** True when version, ciphers and padding are the ones that {@link setFolderPolicy} sets. */
  readonly asMade: boolean;
}

/** The policy of a folder, or undefined when it is not encrypted. */
export async function folderPolicy(folder: string): Promise<FolderPolicy | undefined> {
  const argument = Buffer.alloc(8 + policyBytes);
  argument.writeBigUInt64LE(BigInt(policyBytes), 0);
  try {
    await onFolder(folder, getPolicyExRequest, argument);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "ENODATA") return undefined;
    throw error;
  }
  const policy = argument.subarray(8);
  return {
    identifier: Buffer.from(policy.subarray(identifierOffset, identifierOffset + identifierBytes)),
    asMade: policy.subarray(0, 4).equals(Buffer.of(policyVersion, contentsMode, namesMode, padNames32)),
  };
}

function keyArgument(bytes: number, identifier: Buffer): Buffer {
  const argument = Buffer.alloc(bytes);
  argument.writeUInt32LE(keyBySpecIdentifier, 0);
  argument.set(identifier, identifierOffset);
  return argument;
}

async function onFolder(folder: string, request: number, argument: Buffer): Promise<void> {
  const libc = await loadLibc();
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    libc.ioctl(fd, request, argument);
  } catch (error) {
    if (error instanceof SystemCallError && (error.code === "ENOTTY" || error.code === "EOPNOTSUPP"))
      throw unsupported(folder, error);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function unsupported(folder: string, cause: SystemCallError): VolumeError {
  const mount = mountOf(folder);
  const [type, device] = [mount?.type ?? "unknown", mount?.source ?? "DEVICE"];
  const remedy =
    type === "ext4"
      ? `unmount it and turn the feature on, as root: tune2fs -O encrypt ${device}`
      : type === "f2fs"
        ? `make it with: mkfs.f2fs -O encrypt ${device}`
        : "put the volume on ext4 made with -O encrypt, on f2fs, or choose the kind gocryptfs";
  return new VolumeError(
    "VOLUME_UNSUPPORTED",
    `the ${type} file system of ${folder} (${device}) has no encryption (${cause.code}); ${remedy}`,
    cause,
  );
}
