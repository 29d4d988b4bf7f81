import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { StoredRecord } from "../../../../src/custody/contract/audit.ts";
import { counted, syslogMessage } from "../../../../src/server/audit-forward/syslog-message.ts";
import { parseSyslogAddress, syslogTarget } from "../../../../src/server/audit-forward/syslog-target.ts";
import { RecordRefused } from "../../../../src/server/audit-forward/target.ts";

const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "strongroom-syslog-"));
after(() => rmSync(folder, { recursive: true }));

function record(sequence: number, more: Readonly<Record<string, unknown>> = {}): StoredRecord {
  const text = { sequence, eventTime: "2026-11-21T12:00:00.000Z", eventName: "Decrypt", result: "done", ...more };
  return { sequence, text: JSON.stringify(text), hash: "00".repeat(32) };
}

/** A message of RFC 5424, taken apart by its grammar. */
function parse(message: string) {
  const match =
    /^<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) \[meta sequenceId="(\d+)"\] (.*)$/s.exec(
      message,
    );
  assert.ok(match, `not a message of RFC 5424: ${message}`);
  const [, priority, time, , program, processId, event, sequenceId, text = ""] = match;
  return { priority: Number(priority), time, program, processId, event, sequenceId: Number(sequenceId), text };
}

/** Messages of a stream, by their counts. */
function split(stream: Buffer): string[] {
  const messages: string[] = [];
  for (let at = 0; at < stream.length; ) {
    const space = stream.indexOf(32, at);
    const end = space + 1 + Number(stream.toString("latin1", at, space));
    messages.push(stream.toString("latin1", space + 1, end));
    at = end;
  }
  return messages;
}

describe("a syslog message", () => {
  const sender = { hostname: "km-1", processId: 7 };

  it("has the record's time, event and number in its header, and the stored line as it is", () => {
    const one = record(42);
    assert.deepEqual(parse(syslogMessage(one, sender).toString()), {
      priority: 13 * 8 + 6,
      time: "2026-11-21T12:00:00.000Z",
      program: "strongroom",
      processId: "7",
      event: "Decrypt",
      sequenceId: 42,
      text: one.text,
    });
  });

  for (const [more, severity] of [
    [{ result: "refused" }, 4],
    [{ result: "failed" }, 3],
    [{ eventName: "Notice" }, 5],
  ] as const)
    it(`is of severity ${severity} for ${JSON.stringify(more)}`, () =>
      assert.equal(parse(syslogMessage(record(1, more), sender).toString()).priority % 8, severity));

  it("keeps its header whole, whatever the record and the host are called", () => {
    for (const evil of ["a b", "x\n<13>1 -", "\u001b[2J", "", "é", "x".repeat(300)]) {
      const message = syslogMessage(record(1, { eventName: evil, eventTime: evil }), { hostname: evil, processId: 1 });
      assert.equal(parse(message.toString("latin1")).time, "-");
    }
  });

  it("counts bytes on a stream, and its numbers begin again where the standard ends them", () => {
    assert.equal(counted(Buffer.from("abc")).toString(), "3 abc");
    assert.equal(parse(syslogMessage(record(2 ** 31 - 1), sender).toString()).sequenceId, 2 ** 31 - 1);
    assert.equal(parse(syslogMessage(record(2 ** 31), sender).toString()).sequenceId, 1);
  });
});

describe("a syslog server's address", () => {
  it("is read", () => {
    assert.deepEqual(parseSyslogAddress("127.0.0.1:514"), { kind: "udp", host: "127.0.0.1", port: 514 });
    assert.deepEqual(parseSyslogAddress("tcp:[::1]:601"), { kind: "tcp", host: "::1", port: 601 });
    assert.deepEqual(parseSyslogAddress("unix:/dev/log"), { kind: "unix", path: "/dev/log" });
  });

  for (const text of [
    "",
    "host",
    "host:0",
    "host:65536",
    "tls:host:1",
    "unix:",
    "unix:log",
    "tcp::1:2",
    "a b:1",
    `unix:/${"x".repeat(200)}`,
  ])
    it(`is not ${JSON.stringify(text).slice(0, 40)}`, () => assert.throws(() => parseSyslogAddress(text), RangeError));
});

describe("a syslog server", () => {
  it("gets a datagram for each record over UDP", async () => {
    const server = createSocket("udp4");
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    const messages: string[] = [];
    const all = new Promise<void>((resolve) => {
      server.on("message", (message) => {
        messages.push(message.toString());
        if (messages.length === 3) resolve();
      });
    });
    const target = syslogTarget({ kind: "udp", host: "127.0.0.1", port: server.address().port });
    assert.equal(await target.send([record(1), record(2), record(3)], never), 3);
    await all;
    target.close();
    server.close();
    assert.deepEqual(
      messages.map((message) => parse(message).sequenceId),
      [1, 2, 3],
    );
  });

  it("is not sent over UDP what no datagram holds, and gets what is before and behind it", async () => {
    const server = createSocket("udp4");
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    const target = syslogTarget({ kind: "udp", host: "127.0.0.1", port: server.address().port });
    const tooLong = record(2, { requestParameters: { toContext: "x".repeat(65_536) } });
    assert.equal(await target.send([record(1), tooLong, record(3)], never), 1);
    await assert.rejects(target.send([tooLong, record(3)], never), RecordRefused);
    assert.equal(await target.send([record(3)], never), 1);
    target.close();
    server.close();
  });

  async function streamServer(listen: (server: Server) => void) {
    const sockets: Socket[] = [];
    const pieces: Buffer[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.on("data", (piece: Buffer) => pieces.push(piece));
    });
    listen(server);
    await once(server, "listening");
    return {
      server,
      sockets,
      async messages(count: number): Promise<string[]> {
        for (;;) {
          const messages = split(Buffer.concat(pieces));
          if (messages.length >= count) return messages;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      },
    };
  }

  for (const kind of ["tcp", "unix"] as const)
    it(`gets counted messages over ${kind}, hears of nothing while it is away, and a lost connection is told`, async () => {
      const path = join(folder, `${kind}.sock`);
      const receiver = await streamServer((server) =>
        kind === "unix" ? server.listen(path) : server.listen(0, "127.0.0.1"),
      );
      const target = syslogTarget(
        kind === "unix"
          ? { kind, path }
          : { kind, host: "127.0.0.1", port: (receiver.server.address() as AddressInfo).port },
      );
      const lost = new Promise<void>((resolve) => {
        target.onLost = resolve;
      });
      assert.equal(await target.send([record(1), record(2, { x: "é" })], never), 2);
      assert.deepEqual(
        (await receiver.messages(2)).map((message) => parse(message).sequenceId),
        [1, 2],
      );
      for (const socket of receiver.sockets) socket.destroy();
      await lost;
      await new Promise((resolve) => receiver.server.close(resolve));
      await assert.rejects(target.send([record(3)], never));
      target.close();
    });

  const noPython = spawnSync("python3", ["-c", "pass"]).status === 0 ? false : "python3 is not on this machine";
  it("gets a datagram for each record over a local datagram socket", { skip: noPython }, async () => {
    const path = join(folder, "datagram.sock");
    const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
for _ in range(4):
    sys.stdout.write(s.recv(65536).decode() + "\\n")
sys.stdout.flush()`;
    const child = spawn("python3", ["-c", program, path], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (piece: Buffer) => {
      output += piece;
    });
    while (!output.includes("ready\n")) await new Promise((resolve) => setTimeout(resolve, 5));
    const target = syslogTarget({ kind: "unix", path });
    assert.equal(await target.send([record(1), record(2)], never), 2);
    assert.equal(await target.send([record(3)], never), 1);
    const tooLong = record(4, { requestParameters: { toContext: "x".repeat(4 * 1024 * 1024) } });
    await assert.rejects(target.send([tooLong], never), RecordRefused);
    assert.equal(await target.send([record(5)], never), 1);
    await once(child, "close");
    const messages = output.trim().split("\n").slice(1);
    assert.deepEqual(
      messages.map((message) => parse(message).sequenceId),
      [1, 2, 3, 5],
    );
    await assert.rejects(target.send([record(6)], never));
    target.close();
  });
});
