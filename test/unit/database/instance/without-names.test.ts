import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withoutNames } from "../../../../src/database/instance/without-names.ts";

describe("a line of influxd's that is told outside the volume", () => {
  for (const [what, line, told] of [
    [
      "its message alone of one that tells of work on a shard",
      'ts=2026-11-21T20:00:00Z lvl=info msg="Snapshot for path written" log_id=0x engine=tsm1 path=/srv/root/data/data/canary/rp/1 duration=1ms',
      "Snapshot for path written",
    ],
    [
      "no name of a database that has a field of its own",
      "ts=2026-11-21T20:00:00Z lvl=info msg=Executing log_id=0x db_instance=canary name=canary",
      "Executing",
    ],
    [
      "message and error of one that failed, without the path",
      'ts=2026-11-21T20:00:00Z lvl=error msg="Failed to open shard" path="/srv/root/data/data/my canary/rp/1" error="open /srv/root/data/data/my canary/rp/1: input/output error"',
      "Failed to open shard: open …: input/output error",
    ],
    [
      "an error with quotation marks in it to its end",
      'lvl=error msg="a \\"quoted\\" message" error="no such \\"thing\\"" db=canary',
      'a \\"quoted\\" message: no such \\"thing\\"',
    ],
    [
      "one that is no log line, without the path",
      "run: open server: open tsdb store: open /srv/root/data/data/my canary/rp: permission denied",
      "run: open server: open tsdb store: open …: permission denied",
    ],
    [
      "one of Node.js, without the path",
      "EIO: i/o error, open '/srv/root/data/data/my canary's/rp/1'",
      "EIO: i/o error, open …",
    ],
    [
      "one of Node.js about two paths, without them",
      "ENOSPC: no space left on device, rename '/srv/root/canary' -> '/srv/root/data/data/canary'",
      "ENOSPC: no space left on device, rename …",
    ],
    ["one that ends with a path", "panic: /srv/root/data/data/canary", "panic: …"],
    ["one without any name", "run: it is broken", "run: it is broken"],
    ["none of nothing", "", ""],
  ] as const)
    it(`gives ${what}`, () => {
      assert.equal(withoutNames(line), told);
      assert.doesNotMatch(withoutNames(line), /canary/);
    });
});
