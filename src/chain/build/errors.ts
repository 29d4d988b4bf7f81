import { CodedError, type ErrorDetails } from "../../crypto/coded-error.ts";

/** Every way that building a chain, or reading its files, can fail: exit code, meaning. Codes are API. */
export const chainBuildErrors = {
  CONFIG_INVALID: {
    exit: 2,
    meaning: "config.ini, config.genesis, nodes.json or config.toml says something it may not",
  },
  FILE_UNSAFE: { exit: 2, meaning: "a file with a secret is readable by others" },
  FILE_UNUSABLE: { exit: 1, meaning: "a file cannot be read or written" },
  NODE_KEYS_INVALID: { exit: 2, meaning: "the folder of node keys does not hold one usable key for each node" },
  OPTION_INVALID: { exit: 2, meaning: "an option is missing, malformed, or does not go with another" },
  TARGET_EXISTS: { exit: 1, meaning: "the output folder exists already" },
} as const;

export type ChainBuildErrorCode = keyof typeof chainBuildErrors;

/** A failure of building a chain or of reading its files. `hint` says what to do where the message does not. */
export class ChainBuildError extends CodedError<ChainBuildErrorCode> {
  override readonly name = "ChainBuildError";

  constructor(code: ChainBuildErrorCode, message?: string, details?: ErrorDetails) {
    super(chainBuildErrors, code, message, details);
  }
}
