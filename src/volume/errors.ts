import { CodedError } from "../crypto/coded-error.ts";

/**
 * Every way a volume operation can fail, with the exit code of the command that ran it. Codes are API; messages are for
 * people, name the volume and what to do, and never carry a secret.
 */
export const volumeErrors = {
  VOLUME_ABSENT: { exit: 1, meaning: "there is no volume at this place" },
  VOLUME_EXISTS: { exit: 1, meaning: "there is a volume at this place already" },
  VOLUME_INCOMPLETE: { exit: 1, meaning: "the creation of the volume was interrupted; create it again" },
  VOLUME_PLACE_NOT_EMPTY: { exit: 1, meaning: "the folder holds files that a volume would hide or overwrite" },
  VOLUME_PARAMETER_INVALID: { exit: 2, meaning: "the kind of volume has no such parameter, value or suite" },
  VOLUME_KIND_MISMATCH: { exit: 1, meaning: "the volume is of another kind than was asked for" },
  VOLUME_HEADER_INVALID: { exit: 5, meaning: "the volume header is cut, altered or of an unknown format" },
  VOLUME_WRONG_KEY: { exit: 5, meaning: "the data key is not this volume's, or the header was altered" },
  VOLUME_STORE_DAMAGED: { exit: 5, meaning: "the store does not hold what the header says" },
  VOLUME_ROLLED_BACK: { exit: 5, meaning: "the volume is older than the state that the key manager knows of" },
  VOLUME_EXPORT_DAMAGED: { exit: 5, meaning: "the export is cut, altered, or not one" },
  VOLUME_ALREADY_OPEN: { exit: 1, meaning: "another process has the volume open" },
  VOLUME_NOT_OPEN: { exit: 1, meaning: "the volume is not open" },
  VOLUME_BUSY: { exit: 1, meaning: "programs still use files of the volume" },
  VOLUME_ENDED_BADLY: { exit: 1, meaning: "the volume is locked, but was not closed in good order" },
  VOLUME_LOST: { exit: 1, meaning: "the program that served the open volume ended" },
  VOLUME_UNSUPPORTED: { exit: 1, meaning: "this machine or file system cannot hold this kind of volume" },
  VOLUME_TOOL_MISSING: { exit: 1, meaning: "a program that this kind of volume needs is not installed" },
  VOLUME_TOOL_FAILED: { exit: 1, meaning: "a program that this kind of volume needs ended with an error" },
  VOLUME_NO_MEMORY_FOLDER: { exit: 1, meaning: "there is no tmpfs on which a key may lie" },
  VOLUME_SYSTEM: { exit: 1, meaning: "a system call failed" },
} as const;

export type VolumeErrorCode = keyof typeof volumeErrors;

export class VolumeError extends CodedError<VolumeErrorCode> {
  override readonly name = "VolumeError";

  constructor(code: VolumeErrorCode, message?: string, cause?: unknown) {
    super(volumeErrors, code, message, { cause });
  }
}
