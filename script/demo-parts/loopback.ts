/**
 * Keeps every listener of this process on the loopback address.
 *
 * EthereumJS binds its RLPx and discovery sockets to 0.0.0.0 and has no option for it. Importing this module first makes
 * any `listen` on a port, and any UDP `bind`, use 127.0.0.1 whatever address was asked for. Sockets in the file system
 * are left alone.
 */
import dgram from "node:dgram";
import net from "node:net";

export const loopback = "127.0.0.1";

/** The same arguments with the host replaced; undefined when they name no TCP port. */
function listenOnLoopback([first, ...rest]: readonly unknown[]): readonly unknown[] | undefined {
  if (typeof first === "number") return [first, loopback, ...rest.filter((value) => typeof value !== "string")];
  if (typeof first === "object" && first !== null && "port" in first) return [{ ...first, host: loopback }, ...rest];
  return undefined;
}

/** The same arguments with the address replaced. */
function bindOnLoopback([first, ...rest]: readonly unknown[]): readonly unknown[] {
  if (typeof first === "object" && first !== null) return [{ ...first, address: loopback }, ...rest];
  return [
    typeof first === "number" ? first : 0,
    loopback,
    ...[first, ...rest].filter((value) => typeof value === "function"),
  ];
}

const { listen } = net.Server.prototype;
const { bind } = dgram.Socket.prototype;

Object.defineProperty(net.Server.prototype, "listen", {
  configurable: true,
  writable: true,
  value: function (this: net.Server, ...args: readonly unknown[]) {
    return Reflect.apply(listen, this, listenOnLoopback(args) ?? args);
  },
});

Object.defineProperty(dgram.Socket.prototype, "bind", {
  configurable: true,
  writable: true,
  value: function (this: dgram.Socket, ...args: readonly unknown[]) {
    return Reflect.apply(bind, this, bindOnLoopback(args));
  },
});
