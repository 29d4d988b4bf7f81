/**
 * Every way a volume operation can fail, with the exit code of the command that ran it. Codes are API; messages are for
 * people, name the volume and what to do, and never carry a secret.
 */
export const volumeErrors = {
  VOLUME_ABSENT: { exitCode: 1, meaning: "there is no volume at this place" },
  VOLUME_EXISTS: { exitCode: 1, meaning: "there is a volume at this place already" },
  VOLUME_INCOMPLETE: { exitCode: 1, meaning: "the creation of the volume was interrupted; create it again" },
  VOLUME_PLACE_NOT_EMPTY: { exitCode: 1, meaning: "the folder holds files that a volume would hide or overwrite" },
  VOLUME_PARAMETER_INVALID: { exitCode: 2, meaning: "the kind of volume has no such parameter, value or suite" },
  VOLUME_KIND_MISMATCH: { exitCode: 1, meaning: "the volume is of another kind than was asked for" },
  VOLUME_HEADER_INVALID: { exitCode: 5, meaning: "the volume header is cut, altered or of an unknown format" },
  VOLUME_WRONG_KEY: { exitCode: 5, meaning: "the data key is not this volume's, or the header was altered" },
  VOLUME_STORE_DAMAGED: { exitCode: 5, meaning: "the store does not hold what the header says" },
  VOLUME_ALREADY_OPEN: { exitCode: 1, meaning: "another process has the volume open" },
  VOLUME_NOT_OPEN: { exitCode: 1, meaning: "the volume is not open" },
  VOLUME_BUSY: { exitCode: 1, meaning: "programs still use files of the volume" },
  VOLUME_LOST: { exitCode: 1, meaning: "the program that served the open volume ended" },
  VOLUME_UNSUPPORTED: { exitCode: 1, meaning: "this machine or file system cannot hold this kind of volume" },
  VOLUME_TOOL_MISSING: { exitCode: 1, meaning: "a program that this kind of volume needs is not installed" },
  VOLUME_TOOL_FAILED: { exitCode: 1, meaning: "a program that this kind of volume needs ended with an error" },
  VOLUME_NO_MEMORY_FOLDER: { exitCode: 1, meaning: "there is no tmpfs on which a key may lie" },
  VOLUME_SYSTEM: { exitCode: 1, meaning: "a system call failed" },
} as const;

export type VolumeErrorCode = keyof typeof volumeErrors;

export class VolumeError extends Error {
  override readonly name = "VolumeError";
  readonly code: VolumeErrorCode;
  /** 1 other failure, 2 usage, 5 integrity failure. */
  readonly exitCode: number;

  constructor(code: VolumeErrorCode, message: string = volumeErrors[code].meaning, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.exitCode = volumeErrors[code].exitCode;
  }
}
