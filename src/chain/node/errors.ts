import { CodedError } from "../../crypto/coded-error.ts";

/** Every way that the reference node can fail, with the command line's exit code. */
export const chainNodeErrors = {
  CONFIG_UNUSABLE: { exit: 2, meaning: "the node's configuration cannot be used" },
  DEVICE_UNUSABLE: { exit: 1, meaning: "the device that holds the node key cannot be used" },
  GENESIS_MISMATCH: { exit: 5, meaning: "the store is of another chain than config.genesis" },
  GUARD_COUNTER_MISSING: {
    exit: 5,
    meaning: "the double-sign guard has a counter at the key manager, and config.ini names none",
  },
  GUARD_DAMAGED: { exit: 5, meaning: "the double-sign guard's file is damaged" },
  GUARD_MISSING: {
    exit: 5,
    meaning: "the double-sign guard's file is missing and nothing says that this node has never run",
  },
  GUARD_ROLLED_BACK: { exit: 5, meaning: "the double-sign guard's file is an older copy, or another copy of it runs" },
  GUARD_UNWRITABLE: { exit: 1, meaning: "the double-sign guard's file cannot be written" },
  KEY_MANAGER_REFUSED: {
    exit: 3,
    meaning: "the key manager did not release the store's data key, or does not confirm votes of this node any more",
  },
  KEY_MANAGER_UNREACHABLE: {
    exit: 4,
    meaning: "the key manager that holds the store's data key or the guard's counter does not answer",
  },
  NODE_RUNNING: { exit: 1, meaning: "another process runs on this data folder" },
  SIGNER_MISMATCH: { exit: 5, meaning: "the signing key is not the one of this node in config.genesis" },
  STORE_DAMAGED: { exit: 5, meaning: "what the store holds does not belong together" },
  STORE_KEY_WRONG: { exit: 5, meaning: "the store was made under another data key" },
} as const;

export type ChainNodeErrorCode = keyof typeof chainNodeErrors;

/** A failure that the node cannot start or go on with. */
export class ChainNodeError extends CodedError<ChainNodeErrorCode> {
  override readonly name = "ChainNodeError";

  constructor(code: ChainNodeErrorCode, message?: string, cause?: unknown) {
    super(chainNodeErrors, code, message, { cause });
  }
}
