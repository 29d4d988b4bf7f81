import { type CurveName, curves } from "./curves.ts";

/** What stands behind each signature on its way from the token's process: its nonce, and when the call began and ended (f64, LE). */
export const nonceBytes = 8;
export const timesBytes: number = nonceBytes + 2 * 8;
/** Of P-521. */
export const longestSignedBytes: number = 132 + timesBytes;

/** A signature, and when it was made by the clock of the process that made it. */
export interface Signed {
  /** r ‖ s. */
  readonly raw: Buffer;
  /** Of the handle as its process found it once: what other handles made says nothing of it, nor do other processes' times. */
  readonly nonce: string;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** Takes an answer to `sign` apart; undefined for one of another length. */
export function splitSigned(curve: CurveName, answer: Buffer): Signed | undefined {
  const { signatureBytes } = curves[curve];
  if (answer.length !== signatureBytes + timesBytes) return undefined;
  return {
    raw: answer.subarray(0, signatureBytes),
    nonce: answer.toString("latin1", signatureBytes, signatureBytes + nonceBytes),
    beganMs: answer.readDoubleLE(signatureBytes + nonceBytes),
    endedMs: answer.readDoubleLE(signatureBytes + nonceBytes + 8),
  };
}
