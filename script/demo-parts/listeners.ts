/** Which addresses a process listens on, read from the kernel's tables (what `ss -lnptu` prints). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Listener {
  readonly protocol: "tcp" | "udp";
  /** `127.0.0.1`, `0.0.0.0`, or 32 hexadecimal digits as in /proc/net/tcp6. */
  readonly address: string;
  readonly port: number;
}

const tcpListen = "0A";
const udpUnconnected = "07";

/** The listening TCP and unconnected UDP sockets of a process of the same network namespace. Linux only. */
export function listenersOf(pid: number): Listener[] {
  const inodes = socketInodesOf(pid);
  return (["tcp", "tcp6", "udp", "udp6"] as const).flatMap((table) => {
    const protocol = table.startsWith("tcp") ? "tcp" : "udp";
    const state = protocol === "tcp" ? tcpListen : udpUnconnected;
    return rowsOf(table)
      .filter((row) => row.state === state && inodes.has(row.inode))
      .map(({ address, port }) => ({ protocol, address, port }));
  });
}

/** True for 127.0.0.0/8, ::1, and IPv4 loopback written as IPv6. */
export function isLoopback({ address }: Listener): boolean {
  if (address.includes(".")) return address.startsWith("127.");
  return address === "00000000000000000000000001000000" || /^0{16}FFFF0000[0-9A-F]{6}7F$/.test(address);
}

function socketInodesOf(pid: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[([0-9]+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

/** Empty for a descriptor that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Rows of /proc/net/TABLE: `sl local_address rem_address st … inode`, addresses in the kernel's byte order. */
function rowsOf(table: string): { address: string; port: number; state: string; inode: string }[] {
  let text: string;
  try {
    text = readFileSync(`/proc/net/${table}`, "utf8");
  } catch {
    return []; // A kernel without IPv6.
  }
  const rows = text.trim().split("\n").slice(1);
  return rows.map((row) => {
    const columns = row.trim().split(/\s+/);
    const [address = "", port = ""] = (columns[1] ?? "").split(":");
    return {
      address: address.length === 8 ? dotted(address) : address,
      port: Number.parseInt(port, 16),
      state: columns[3] ?? "",
      inode: columns[9] ?? "",
    };
  });
}

/** `0100007F` to `127.0.0.1`. */
function dotted(hex: string): string {
  return [...Buffer.from(hex, "hex").reverse()].join(".");
}
