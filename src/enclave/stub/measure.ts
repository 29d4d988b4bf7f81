import { EnclaveError } from "../errors.ts";
import type { TeeSettings } from "../tee/open-backend.ts";
import { EnclaveProcess } from "./enclave-process.ts";
import { type EnclaveStatus, readStatus } from "./enclave-status.ts";

/**
 * What an enclave on this platform would be, in a process that is ended again: nothing is created, and no folder is touched.
 *
 * @throws EnclaveError SETTINGS_INVALID: no such platform; ENCLAVE_ENDED
 */
export async function measureEnclave(tee: TeeSettings): Promise<Pick<EnclaveStatus, "measurement" | "tee">> {
  const enclave = new EnclaveProcess({ answer: refuseAll });
  try {
    await enclave.call("start", Buffer.from(JSON.stringify(tee)));
    const [status] = await enclave.call("status");
    if (status === undefined) throw new EnclaveError("ENCLAVE_ENDED", "the enclave's answer is not of its form");
    const { measurement, tee: kind } = readStatus(status);
    return { measurement, tee: kind };
  } finally {
    await enclave.end();
  }
}

function refuseAll(): Promise<never> {
  return Promise.reject(new EnclaveError("MALFORMED", "an enclave that is only measured has no host to ask"));
}
