import { Socket } from "node:net";
import { CallChannel } from "./call-channel.ts";
import { isForClient } from "./client-calls.ts";
import { closeEnclaveOff } from "./closed-off.ts";
import { type EnclaveProgram, EnclaveServer } from "./enclave-server.ts";

const socketDescriptor = 3;

/**
 * Runs an enclave in this process: closes it off, then answers what comes over file descriptor 3 until that ends. An error
 * that has no code is a mistake in here: the process ends at once, and goes on from its sealed blob when it is started again.
 */
export async function serveEnclave(program: EnclaveProgram): Promise<void> {
  // Sent to the whole group at Ctrl-C; the host's agent ends us once what runs has come back.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
  process.on("uncaughtException", endNow);
  await closeEnclaveOff();
  const socket = new Socket({ fd: socketDescriptor, readable: true, writable: true });
  const server = new EnclaveServer(program, (name, ...parts) => channel.call(name, ...parts));
  const channel: CallChannel = new CallChannel(socket, {
    answer: async (name, parts) => {
      if (name !== "end") return server.answer(name, parts);
      await server.end();
      setImmediate(() => void channel.end().then(() => process.exit(0)));
      return [];
    },
    isForClient,
    closed: endNow,
    unexpected: (error) => {
      setImmediate(() => void channel.end().then(endNow));
      return `ENCLAVE_ENDED: the enclave ended at an error of its own: ${placeOf(error)}`;
    },
  });
}

/** Where it happened, without what: an error's text may quote what it was about. */
function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const places = error.stack?.match(/^ +at .*$/gm)?.slice(0, 3) ?? [];
  return [error.name, ...places.map((place) => place.trim())].join(" ");
}

/** Without any ending of its own: nobody is left to wait for it. */
function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}
