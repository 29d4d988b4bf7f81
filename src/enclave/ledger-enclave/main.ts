/**
 * The ledger enclave: `node main.ts`, started by its host with a socket as file descriptor 3. All else comes over the socket.
 * What its host can do is to keep blocks and messages back, or to end it.
 */
import { Socket } from "node:net";
import { EnclaveError } from "../errors.ts";
import { AttestationJudge } from "../evidence/judge.ts";
import { CallChannel } from "../process/call-channel.ts";
import { closeEnclaveOff } from "../process/closed-off.ts";
import { openTeeBackend } from "../tee/open-backend.ts";
import { LedgerEnclave } from "./ledger-enclave.ts";

const socketDescriptor = 3;

/** Without any ending of its own: nobody is left to wait for it. */
function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}

// Sent to the whole group at Ctrl-C; the host ends this process once what runs has come back.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
process.on("uncaughtException", endNow);
await closeEnclaveOff();

const enclave = new LedgerEnclave({
  openBackend: (settings) => openTeeBackend(settings, "ledger"),
  judge: new AttestationJudge(),
  toEvidence: async (attestation) => {
    const [evidence] = await channel.call("evidence", attestation);
    if (evidence === undefined) throw new EnclaveError("BAD_EVIDENCE", "the host has no evidence for an attestation");
    return evidence;
  },
});
const channel: CallChannel = new CallChannel(new Socket({ fd: socketDescriptor, readable: true, writable: true }), {
  answer: async (name, parts) => {
    if (name !== "end") return await enclave.call(name, parts);
    await enclave.end();
    setImmediate(() => void channel.end().then(() => process.exit(0)));
    return [];
  },
  closed: endNow,
  // A mistake in here: the process ends, and follows the channel again when it is started again.
  unexpected: (error) => {
    setImmediate(() => void channel.end().then(endNow));
    return `ENCLAVE_ENDED: the ledger enclave ended at an error of its own: ${error instanceof Error ? error.name : "?"}`;
  },
});
