import { closeSync, constants, openSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { SocketCalls } from "../control/socket-calls.ts";
import { type AnswerRequest, ControlServer } from "./control-server.ts";

/** For this process's user alone. */
const socketUmask = 0o177;

/** The control of a volume that is served. */
export interface OpenControl {
  readonly server: ControlServer;
  /** Leaves all clients, and takes the socket away. */
  close(): void;
}

/**
 * Listens at a path, where what a former server left is removed.
 *
 * @throws {Error} When there can be no socket.
 */
export function openControl(path: string, calls: SocketCalls, ownUser: number, answer: AnswerRequest): OpenControl {
  const server = new ControlServer(calls, ownUser, answer);
  rmSync(path, { force: true });
  const umask = process.umask(socketUmask);
  // Through its folder's descriptor: a socket's path has at most 107 bytes (unix(7)), the folder's may have more.
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    server.listen(`/proc/self/fd/${folder}/${basename(path)}`);
  } finally {
    closeSync(folder);
    process.umask(umask);
  }
  return {
    server,
    close() {
      server.close();
      rmSync(path, { force: true });
    },
  };
}
