import { closeProcessOff } from "../../crypto/closed-process.ts";
import { EnclaveError } from "../errors.ts";

/**
 * Closes an enclave's process off before it makes or opens a key
 * (docs/decisions/0616-an-enclave-is-an-operating-system-process.md).
 *
 * @throws EnclaveError SETTINGS_INVALID: the kernel or platform does not do that
 */
export async function closeEnclaveOff(): Promise<void> {
  await closeProcessOff().catch((cause: unknown) => {
    throw new EnclaveError("SETTINGS_INVALID", "the enclave cannot make its memory unreadable to other processes", {
      cause,
      hint: "use Linux with glibc, on x86-64 or arm64",
    });
  });
}
