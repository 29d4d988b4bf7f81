import { CryptoError } from "../crypto/errors.ts";
import { keySpecs } from "../crypto/key-specs.ts";
import { CustodyError } from "./errors.ts";
import type { Caller, KeySpec } from "./service.ts";

/** RSA keys that one principal has made for it, or waits for, at once: less than the queue, so that others come in too. */
export const maxOfPrincipal = 8;

const making = new Map<string, number>();

/**
 * Makes a key for a caller, whose share of the time that RSA keys take is bounded. Other keys are made at once.
 *
 * @throws {CustodyError} `KEY_GENERATION_BUSY` when the caller, or all callers together, wait for too many already.
 */
export async function withinShare<T>({ principal }: Caller, spec: KeySpec, make: () => Promise<T>): Promise<T> {
  if (keySpecs[spec].kind !== "rsa") return await make();
  const before = making.get(principal) ?? 0;
  if (before >= maxOfPrincipal)
    throw new CustodyError("KEY_GENERATION_BUSY", `${maxOfPrincipal} RSA keys are being made for you: try again later`);
  making.set(principal, before + 1);
  try {
    return await make();
  } catch (error) {
    if (error instanceof CryptoError && error.code === "BUSY")
      throw new CustodyError("KEY_GENERATION_BUSY", undefined, error);
    throw error;
  } finally {
    const left = (making.get(principal) ?? 1) - 1;
    if (left > 0) making.set(principal, left);
    else making.delete(principal);
  }
}
