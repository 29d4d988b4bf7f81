import { CodedError, type ErrorDetails } from "../crypto/coded-error.ts";

/** Every way a node operation can fail: exit code of the command line, meaning. Codes are API; messages are for people. */
export const nodeErrors = {
  COMMAND_UNUSABLE: { exit: 1, meaning: "the node's command cannot be started" },
  CONVERSION_DAMAGED: { exit: 5, meaning: "the converted data does not have the checksums of the original" },
  CONVERSION_STATE: { exit: 1, meaning: "a conversion is unfinished, or is of another kind" },
  DATA_KEY_MISMATCH: { exit: 5, meaning: "the released data key is not the one that this node's files are under" },
  DATA_KEY_MISSING: { exit: 1, meaning: "the node has no data key yet" },
  DISK_SPACE: { exit: 1, meaning: "the disk has not enough room for a second copy of the data" },
  FILE_UNSAFE: { exit: 1, meaning: "the file is a link, not a regular file, or readable by others" },
  FILE_UNUSABLE: { exit: 1, meaning: "the file cannot be read or written" },
  IDENTITY_MISMATCH: { exit: 5, meaning: "a sealed key is not the one that the manifest names" },
  IDENTITY_MISSING: { exit: 3, meaning: "the node is not enrolled, or its identity was on a tmpfs that is gone" },
  INPUT_INVALID: { exit: 2, meaning: "an argument is missing, malformed or out of range" },
  INTEGRATION_DAMAGED: { exit: 5, meaning: "the file of an integration with a KMS is malformed" },
  INTEGRATION_IN_USE: { exit: 1, meaning: "a node on this host starts with the integration" },
  INTEGRATION_NOT_FOUND: { exit: 1, meaning: "there is no integration of that name in the store" },
  KEY_FILE_INVALID: { exit: 2, meaning: "the key file is not in a format that is read here" },
  LAUNCH_UNSAFE: { exit: 1, meaning: "keys in memory could reach a disk on this machine" },
  LEASE_LOST: { exit: 3, meaning: "the key manager no longer lets this node run" },
  MANIFEST_INVALID: { exit: 2, meaning: "the node manifest is malformed" },
  MANIFEST_NOT_FOUND: { exit: 2, meaning: "there is no node manifest there" },
  NODE_RUNNING: { exit: 1, meaning: "the node's data folder is in use" },
  PASSWORD_WRONG: { exit: 2, meaning: "the password does not open the key file, or the file is altered" },
  REFUSED: { exit: 3, meaning: "the key manager refused to release the data key" },
  SEALED_FILE_DAMAGED: { exit: 5, meaning: "the sealed file is altered, cut, of another node or under another key" },
  TARGET_EXISTS: { exit: 1, meaning: "the file to write exists already" },
  TMPFS_MISSING: { exit: 1, meaning: "there is no tmpfs to hand keys over on" },
  UNREACHABLE: { exit: 4, meaning: "no key manager answered" },
  WRONG_USER: { exit: 1, meaning: "the node belongs to another user of this machine" },
} as const;

export type NodeErrorCode = keyof typeof nodeErrors;

/** A failure of the node part. `hint` says what to do where the message does not. */
export class NodeError extends CodedError<NodeErrorCode> {
  override readonly name = "NodeError";

  constructor(code: NodeErrorCode, message?: string, details?: ErrorDetails) {
    super(nodeErrors, code, message, details);
  }
}
