import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { joinAnswers, maxBodyBytes, readFiscoRequest } from "../../client/fisco-json-rpc.ts";
import { type FiscoCallOptions, FiscoCalls, type FiscoCustody } from "./calls.ts";
import { fixedAnswers, jsonAnswer, readBody, sendAnswer } from "./http.ts";
import { loopbackOnly, PeerList, peerAddress } from "./peers.ts";

/** Bounds on what peers may hold open. */
const maxConnections = 1024;
const maxConnectionsOfOnePeer = 256;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;
const idleTimeoutMs = 60_000;
const closeGraceMs = 2_000;

export interface FiscoDoorOptions extends FiscoCallOptions {
  /** Address to listen on. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Addresses and CIDR blocks that are answered; others are closed and counted. @defaultValue loopback only */
  readonly allow?: readonly string[];
}

export interface FiscoDoor {
  readonly address: { readonly host: string; readonly port: number };
  /** Stops listening, lets calls that have begun end, closes every connection. */
  close(): Promise<void>;
}

/**
 * Starts the door that FISCO BCOS nodes and scripts speak to: JSON-RPC 2.0 over plain HTTP, any path, any content type,
 * as the original Key Manager answers it, in `standard` or `sm` mode. Docs: docs/fisco.md.
 *
 * The wire has no authentication: who may speak is decided by address, what may be decrypted by custody's registry.
 *
 * @throws {RangeError} For a bad entry in `allow`.
 * @throws {Error} `EADDRINUSE` and the like, as node:net gives them.
 */
export async function startFiscoDoor(custody: FiscoCustody, options: FiscoDoorOptions): Promise<FiscoDoor> {
  const peers = new PeerList(options.allow ?? loopbackOnly);
  const calls = new FiscoCalls(custody, options);
  const maxBytes = options.operatorCalls ? maxBodyBytes.withOperatorCalls : maxBodyBytes.nodesOnly;
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: 5_000,
      maxHeaderSize: 8192,
      requireHostHeader: false,
      noDelay: true,
    },
    (request, response) => {
      const peer = peerAddress(request.socket.remoteAddress);
      answerRequest(custody, calls, maxBytes, peer, request, response).catch((error: unknown) => {
        // The peer went away in the middle of a request: nobody is left to answer.
        if (!request.destroyed) options.onFault?.(error);
        request.socket.destroy();
      });
    },
  );
  server.maxConnections = maxConnections;
  server.timeout = idleTimeoutMs;
  admitPeers(server, peers, custody);
  server.on("clientError", (_error, socket) => socket.destroy());
  await listen(server, options.host, options.port);
  const { address, port } = server.address() as AddressInfo;
  return { address: { host: address, port }, close: () => close(server) };
}

/** Closes what is not allowed, before a byte of it is read, and keeps one peer from holding every connection. */
function admitPeers(server: Server, peers: PeerList, custody: FiscoCustody): void {
  const open = new Map<string, number>();
  server.prependListener("connection", (socket: Socket) => {
    const peer = peerAddress(socket.remoteAddress);
    const held = open.get(peer) ?? 0;
    const reason = !peers.allows(peer)
      ? "address not allowed"
      : held >= maxConnectionsOfOnePeer
        ? "too many connections"
        : undefined;
    if (reason !== undefined) {
      custody.countRefusal("fisco", peer, reason);
      socket.destroy();
      return;
    }
    open.set(peer, held + 1);
    socket.once("close", () => {
      const left = (open.get(peer) ?? 1) - 1;
      if (left === 0) open.delete(peer);
      else open.set(peer, left);
    });
  });
  server.on("drop", (data) =>
    custody.countRefusal("fisco", peerAddress(data?.remoteAddress), "too many connections in all"),
  );
}

async function answerRequest(
  custody: FiscoCustody,
  calls: FiscoCalls,
  maxBytes: number,
  peer: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Nodes and scripts send neither header; a browser sends one with every POST. The original lets any web page that an
  // operator has open read data keys (its answers carry a CORS header of `*`).
  if (request.headers.origin !== undefined || request.headers["sec-fetch-site"] !== undefined) {
    custody.countRefusal("fisco", peer, "request from a web page");
    return sendAnswer(request, response, fixedAnswers.fromWebPage, true);
  }
  if (request.method !== "POST") {
    const answer = request.method === "OPTIONS" ? fixedAnswers.options : fixedAnswers.methodNotAllowed;
    request.resume();
    return sendAnswer(request, response, answer);
  }
  const body = await readBody(request, maxBytes);
  if (body === undefined) {
    custody.countRefusal("fisco", peer, "request too large");
    return sendAnswer(request, response, fixedAnswers.tooLarge, true);
  }
  const { batch, calls: wanted } = readFiscoRequest(body);
  const answers: Buffer[] = [];
  for (const call of wanted) answers.push(await calls.answer(call, peer));
  body.fill(0);
  sendAnswer(request, response, jsonAnswer(joinAnswers(batch, answers)));
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), closeGraceMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
