import type { Server as HttpsServer } from "node:https";
import { BlockList, isIP, type Socket } from "node:net";
import { peerAddress } from "../fisco/peers.ts";

/** The type of a TLS handshake record (RFC 8446 section 5.1), with which every TLS connection begins. */
const tlsHandshake = 0x16;
const firstByteTimeoutMs = 10_000;

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
 * @returns Ends the connections that have not sent a byte.
 */
export function answerPlainHttpOnLoopback(server: HttpsServer, count: (reason: string) => void): () => void {
  const tlsListeners = server.listeners("connection");
  const silent = new Set<Socket>();
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
      silent.delete(socket);
      socket.setTimeout(0);
      socket.off("timeout", onTimeout).off("error", onError).off("readable", onReadable);
      socket.unshift(first);
      if (first[0] === tlsHandshake) for (const listener of tlsListeners) listener.call(server, socket);
      else if (isLoopback(socket.localAddress)) server.emit("secureConnection", socket);
      else {
        count("ERR_PLAIN_HTTP");
        socket.once("error", () => socket.destroy()).end(plainRefusal);
      }
    };
    silent.add(socket);
    socket.once("close", () => silent.delete(socket));
    socket.setTimeout(firstByteTimeoutMs).on("timeout", onTimeout).on("error", onError).on("readable", onReadable);
  });
  return () => {
    for (const socket of silent) socket.destroy();
  };
}

function isLoopback(localAddress: string | undefined): boolean {
  const address = peerAddress(localAddress);
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? "ipv6" : "ipv4");
}
