import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { endianness } from "node:os";

const established = "01";
const v4InV6 = "0000000000000000FFFF0000";

/**
 * The user id at the other end of a TCP connection on this machine, from /proc/net/tcp and tcp6 (proc_net(5)): the row
 * whose local end is the peer's. Undefined when there is none, as when the peer is not on this machine.
 */
export function peerUid(
  socket: Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "localPort">,
  read: (file: string) => string = (file) => readFileSync(file, "latin1"),
): number | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const theirs = endpoint(remoteAddress, remotePort);
  const ours = endpoint(localAddress, localPort);
  if (theirs === undefined || ours === undefined) return undefined;
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    let text: string;
    try {
      text = read(file);
    } catch {
      continue;
    }
    const uid = uidInTable(text, theirs, ours);
    if (uid !== undefined) return uid;
  }
  return undefined;
}

/** Columns: number, local end, remote end, state, queues, timer, retransmits, uid. */
function uidInTable(text: string, local: string, remote: string): number | undefined {
  for (const row of text.split("\n").slice(1)) {
    const columns = row.trim().split(/\s+/);
    if (columns[3] !== established || plainV4(columns[1]) !== local || plainV4(columns[2]) !== remote) continue;
    const uid = columns[7] ?? "";
    return /^[0-9]{1,10}$/.test(uid) ? Number(uid) : undefined;
  }
  return undefined;
}

/** An IPv4 end as the kernel prints it: the address as one word of the machine's byte order, then the port, in hex. */
function endpoint(address: string | undefined, port: number | undefined): string | undefined {
  const parts = /^(?:::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
    .exec(address ?? "")
    ?.slice(1)
    .map(Number);
  if (parts === undefined || port === undefined || parts.some((part) => part > 255)) return undefined;
  const bytes = Buffer.from(endianness() === "LE" ? parts.reverse() : parts);
  return `${bytes.toString("hex")}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
}

function plainV4(end = ""): string {
  return end.startsWith(v4InV6) ? end.slice(v4InV6.length) : end;
}
