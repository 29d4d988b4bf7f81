import { CustodyError } from "../../custody/errors.ts";
import { type FailedRequest, hidden } from "./failures.ts";

/**
 * Awaits work on the key that a ciphertext names, which the caller has not named: whether that key is absent, another's or
 * forbidden, the answer is the same.
 *
 * @param isAboutIt - Tells failures that are about that key from those about another.
 */
export async function hiddenKeys<T>(
  request: FailedRequest,
  work: Promise<T>,
  isAboutIt: (error: CustodyError) => boolean = () => true,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const mayTell =
      error instanceof CustodyError &&
      (error.code === "KEY_NOT_FOUND" || error.code === "ACCESS_DENIED" || error.state === "destroyed");
    if (mayTell && isAboutIt(error)) throw hidden(error, request);
    throw error;
  }
}
