import assert from "node:assert/strict";
import { test } from "node:test";
import { opcode } from "../../../../../src/volume/sealfs/kernel/protocol.ts";
import type { Fault } from "../../../../../src/volume/sealfs/kernel/request-handler.ts";
import { type Service, serveRequests } from "../../../../../src/volume/sealfs/kernel/serve-requests.ts";
import { Spinning } from "../../../../../src/volume/sealfs/kernel/spinning.ts";
import type { KernelCalls } from "../../../../../src/volume/sealfs/kernel/system-calls.ts";
import { MemoryFileSystem } from "../../../../sealfs/memory/memory-file-system.ts";
import { fields, initRequest, requestBytes } from "../../../../sealfs/request-bytes.ts";

const EINTR = -4;
const ENOENT = -2;
const EAGAIN = -11;
const ENODEV = -19;
const ECONNABORTED = -103;

/** What each read of /dev/fuse gives in turn: a request, or minus an errno. Stands in for the kernel. */
type Reads = readonly (Buffer | number)[];

interface Scene {
  readonly reads: Reads;
  /** What each poll says of the control descriptor. */
  readonly controlReady?: readonly boolean[];
  readonly writes?: number;
}

interface Seen {
  readonly answers: Buffer[];
  readonly timeoutsMs: number[];
  readonly faults: Fault[];
  memory: Buffer | undefined;
}

function serve(scene: Scene, options: Partial<Service> = {}): { end: string; seen: Seen } {
  const seen: Seen = { answers: [], timeoutsMs: [], faults: [], memory: undefined };
  const reads = [...scene.reads];
  const controlReady = [...(scene.controlReady ?? [])];
  const calls: KernelCalls = {
    read(_descriptor, into) {
      seen.memory = into;
      const next = reads.shift() ?? ENODEV;
      return typeof next === "number" ? next : next.copy(into);
    },
    write(_descriptor, bytes, length) {
      seen.answers.push(Buffer.from(bytes.subarray(0, length)));
      return scene.writes ?? length;
    },
    poll(descriptors, _count, timeoutMs) {
      seen.timeoutsMs.push(timeoutMs);
      const ready = controlReady.shift() === true;
      descriptors.writeInt16LE(ready ? 1 : 0, 14);
      return 1;
    },
    mount: () => 0,
    unmount: () => 0,
    errnoName: (number) => `errno ${number}`,
  };
  const fileSystem = new MemoryFileSystem();
  const onFault = (fault: Fault): void => void seen.faults.push(fault);
  return { end: serveRequests({ calls, descriptor: 3, fileSystem, onFault, ...options }), seen };
}

const init = initRequest();
const statfs = requestBytes({ opcode: opcode.STATFS });

for (const error of [ENODEV, ECONNABORTED])
  test(`errno ${-error} of a read is the end of the mount`, () => {
    assert.equal(serve({ reads: [init, error, statfs] }).end, "unmounted");
  });

test("each request is answered before the next is read", () => {
  const { seen } = serve({ reads: [init, statfs, statfs] });
  assert.deepEqual(
    seen.answers.map((answer) => answer.length),
    [80, 96, 96],
  );
});

test("a caller that was killed, or a signal, is gone on from", () => {
  assert.equal(serve({ reads: [init, ENOENT, EINTR, statfs] }).seen.answers.length, 2);
});

test("an error of /dev/fuse that can't be gone on from is thrown", () => {
  assert.throws(() => serve({ reads: [init, -5] }), /errno 5/);
  assert.throws(() => serve({ reads: [-9] }), /errno 9/);
});

test("it waits for ever when there is nothing to do", () => {
  assert.deepEqual(serve({ reads: [init, EAGAIN, statfs, EAGAIN] }).seen.timeoutsMs, [-1, -1]);
});

test("requests that come soon after each answer are found without a sleep, and a pause ends that", () => {
  let nowMs = 0;
  const spinning = new Spinning(2, () => {
    nowMs += 0.01;
    return nowMs;
  });
  const soon = Array.from({ length: 20 }, () => [EAGAIN, statfs]).flat();
  const pause = Array.from({ length: 100 }, () => EAGAIN);
  const { seen } = serve({ reads: [init, ...soon, ...pause, statfs, EAGAIN, statfs] }, { spinning });
  assert.equal(seen.answers.length, 23);
  const slept = seen.timeoutsMs.length;
  assert.ok(slept > 95 && slept < 105, `${slept} sleeps, of which 8 came before it spun and the others in the pause`);
});

test("an answer that nobody waits for any more is nothing; one that the kernel refuses is told of", () => {
  assert.deepEqual(serve({ reads: [init], writes: ENOENT }).seen.faults, []);
  assert.deepEqual(serve({ reads: [init], writes: ENODEV }).seen.faults, []);
  const { faults } = serve({ reads: [init, statfs], writes: -22 }).seen;
  assert.equal(faults.length, 2);
  assert.match(String(faults[0]?.error), /errno 22/);
});

test("work between requests is done when none waits, and again after the time it asks for", () => {
  let calls = 0;
  const delays = [50, undefined, 0];
  const { seen } = serve(
    { reads: [init, EAGAIN, EAGAIN, statfs] },
    {
      idle: () => {
        calls += 1;
        return delays[calls - 1];
      },
    },
  );
  assert.equal(calls, 1, "its time had not come a second time");
  assert.ok(
    seen.timeoutsMs.every((ms) => ms > 0 && ms <= 50),
    String(seen.timeoutsMs),
  );
});

test("work that asks for no delay goes on although requests wait", () => {
  let calls = 0;
  serve(
    { reads: [init, ...Array.from({ length: 100 }, () => statfs)] },
    {
      idle: () => {
        calls += 1;
        return 0;
      },
    },
  );
  assert.ok(calls >= 100, String(calls));
});

test("work that has nothing to do is asked again when requests have been answered", () => {
  let calls = 0;
  const { seen } = serve(
    { reads: [init, EAGAIN, statfs, EAGAIN] },
    {
      idle: () => {
        calls += 1;
        return undefined;
      },
    },
  );
  assert.ok(calls >= 2, String(calls));
  assert.deepEqual(seen.timeoutsMs, [-1, -1]);
});

test("the control stops it, when idle and under load", () => {
  let asked = 0;
  const control = {
    descriptor: 9,
    ready: () => {
      asked += 1;
      return asked === 1 ? ("goOn" as const) : ("stop" as const);
    },
  };
  const idle = serve({ reads: [init, EAGAIN, EAGAIN, EAGAIN, statfs], controlReady: [false, true, true] }, { control });
  assert.equal(idle.end, "stopped");
  assert.equal(idle.seen.answers.length, 1);
  asked = 1;
  const many = Array.from({ length: 10_000 }, () => statfs);
  const busy = serve({ reads: [init, ...many], controlReady: [true] }, { control });
  assert.equal(busy.end, "stopped");
  assert.ok(busy.seen.answers.length < 1000);
});

test("a control that is left is listened to no more, and the requests go on", () => {
  let asked = 0;
  const control = {
    descriptor: 9,
    ready: () => {
      asked += 1;
      return "leave" as const;
    },
  };
  const reads = [init, EAGAIN, EAGAIN, statfs];
  const { end, seen } = serve({ reads, controlReady: [true, false] }, { control });
  assert.deepEqual([end, asked, seen.answers.length], ["unmounted", 1, 2]);
});

test("work between requests can stop it, when idle and under load", () => {
  const idle = (): "stop" => "stop";
  assert.equal(serve({ reads: [EAGAIN, init] }, { idle }).end, "stopped");
  assert.equal(serve({ reads: [init, statfs, statfs] }, { idle }).end, "stopped");
});

test("work that fails is told of, and files are served on", () => {
  const idle = (): undefined => {
    throw new TypeError("broken");
  };
  const { end, seen } = serve({ reads: [EAGAIN, init, statfs, EAGAIN] }, { idle });
  assert.deepEqual([end, seen.answers.length, seen.faults.length], ["unmounted", 2, 1]);
  assert.equal(seen.faults[0]?.request, "work between requests");
});

test("what was written is wiped from the buffer at the end", () => {
  const body = fields(1n, 0n, 6, 0, 0n, 0, 0, Buffer.from("secret"));
  const { seen } = serve({ reads: [init, requestBytes({ opcode: opcode.WRITE, node: 2, body })] });
  assert.ok(seen.memory?.every((byte) => byte === 0));
});
