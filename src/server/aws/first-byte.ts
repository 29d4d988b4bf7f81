import type { Server as HttpsServer } from "node:https";
import { BlockList, isIP, type Socket } from "node:net";
import { peerAddress } from "../fisco/peers.ts";

/** The type of a TLS handshake record (RFC 8446 section 5.1), with which every TLS connection begins. */
const tlsHandshake = 0x16;
const firstByteTimeoutMs = 10_000;
/** How long a refused peer may take to read why and to let go. */
const refusalTimeoutMs = 2_000;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const plainRefusal =
  "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n" +
  "Plain HTTP is answered over the machine's own loopback addresses only: use https\n";

/**
 * Lets an HTTPS server answer plain HTTP too, on connections that come over loopback: the first byte of a connection tells
 * which it is. From anywhere else plain HTTP is refused, whatever address the server listens on.
 *
 * @param count - Told why a connection ended before a request.
 * @returns Ends the connections that no server has: those that have not sent a byte, and those that are being refused.
 */
export function answerPlainHttpOnLoopback(server: HttpsServer, count: (reason: string) => void): () => void {
  const tlsListeners = server.listeners("connection");
  const unanswered = new Set<Socket>();
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    const end = (reason: string) => {
      count(reason);
      socket.destroy();
    };
    const onTimeout = () => end("ERR_FIRST_BYTE_TIMEOUT");
    const onError = () => end("ERR_CONNECTION");
    const onReadable = () => {
      const first: Buffer | null = socket.read(1);
      if (first === null) return;
      socket.setTimeout(0);
      socket.off("timeout", onTimeout).off("error", onError).off("readable", onReadable);
      const isTls = first[0] === tlsHandshake;
      if (!isTls && !isLoopback(socket.localAddress)) {
        count("ERR_PLAIN_HTTP");
        refuse(socket);
        return;
      }
      unanswered.delete(socket);
      socket.unshift(first);
      if (isTls) for (const listener of tlsListeners) listener.call(server, socket);
      else server.emit("secureConnection", socket);
    };
    unanswered.add(socket);
    socket.once("close", () => unanswered.delete(socket));
    socket.setTimeout(firstByteTimeoutMs).on("timeout", onTimeout).on("error", onError).on("readable", onReadable);
  });
  return () => {
    for (const socket of unanswered) socket.destroy();
  };
}

/** Tells why, reads what still comes (its end would not be seen otherwise), and lets go soon, whatever the peer does. */
function refuse(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), refusalTimeoutMs);
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => socket.destroy());
  socket.resume().end(plainRefusal);
}

function isLoopback(localAddress: string | undefined): boolean {
  const address = peerAddress(localAddress);
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? "ipv6" : "ipv4");
}
